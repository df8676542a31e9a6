//! What the node is like at the moment: asked when the page is read, and kept nowhere.
//!
//! Owns the names of these metrics. Reads what is in memory; never asks the chain, a PCCS or the disk, so that whoever reads
//! the page costs nothing but the page.

use std::fmt;
use std::sync::Arc;

use kms_ledger::store::{Store, StoreState};
use kms_verdict::RULES_VERSION;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::node::{Load, Node};
use crate::server::Gate;
use crate::witnesses::Said;

/// The node, its gate, and its log of decisions.
pub(crate) struct NodeState {
    pub(crate) node: Arc<Node>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) log: Arc<Store>,
}

impl fmt::Debug for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The node holds secrets: nothing of it is shown.
        f.write_str("NodeState")
    }
}

impl Collector for NodeState {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.identity(&mut page)?;
        self.standing(&mut page)?;
        self.load(&mut page)?;
        self.log(&mut page)?;
        self.witnesses(&mut page)?;
        self.heads(&mut page)?;
        self.collateral(&mut page)
    }
}

impl NodeState {
    fn identity(&self, page: &mut Page<'_>) -> fmt::Result {
        let (version, rules) = (env!("CARGO_PKG_VERSION"), RULES_VERSION.to_string());
        let build = [("version", version), ("rules", rules.as_str())];
        page.gauges("build_info", "1, for this software and the rules of its verdict.", [(build, 1)])?;
        let settings = self.node.insecure_settings.iter().map(|setting| ([("setting", setting.as_str())], 1));
        page.gauges("insecure_setting", "1, for each setting that makes this node weaker.", settings)
    }

    fn standing(&self, page: &mut Page<'_>) -> fmt::Result {
        let allowed = u64::from(self.node.may_release().is_ok());
        page.gauge("node_allowed", "1 while this node may release keys, else 0.", allowed)?;
        let age = self.node.now().saturating_sub(self.node.certificate().issued());
        page.gauge("certificate_age_seconds", "How long ago the node's certificate was issued.", age)
    }

    fn load(&self, page: &mut Page<'_>) -> fmt::Result {
        let Load { running, waiting, shed } = self.node.workers.load();
        page.gauge("connections_open", "Open connections.", count(self.gate.open()))?;
        page.gauge("verifications_running", "Verifications that run.", count(running))?;
        page.gauge("verifications_waiting", "Verifications that wait for a worker.", count(waiting))?;
        page.counter("verifications_shed", "Verifications that were turned away.", shed)
    }

    /// What is durable, what of it is published, and whether publication goes on.
    fn log(&self, page: &mut Page<'_>) -> fmt::Result {
        let StoreState { size, published, backlog_bytes, fault } = self.log.state();
        page.gauge("log_entries", "Entries of the log of decisions.", size)?;
        page.gauge("log_published_entries", "Entries that the latest checkpoint covers.", published)?;
        let help = "Bytes of the journal that no checkpoint covers yet.";
        page.gauge("log_unpublished_bytes", help, backlog_bytes)?;
        let failing = u64::from(fault.is_some());
        page.gauge("log_publication_failing", "1 while entries cannot be published, else 0.", failing)
    }

    /// No sample of the newest where there are no witnesses, or none has been known yet.
    fn witnesses(&self, page: &mut Page<'_>) -> fmt::Result {
        let Said { newest, contradicted, each } = self.node.witnesses.said();
        let help = "Entries of the newest checkpoint that a quorum of witnesses has cosigned.";
        page.known("log_witnessed_entries", help, newest.map(|newest| newest.size))?;
        let age = newest.map(|newest| self.node.now().saturating_sub(newest.time));
        page.known("log_witnessed_age_seconds", "How long ago it was cosigned.", age)?;
        let help = "1 once a witness has seen more of the log, or another one, else 0.";
        page.gauge("log_contradicted", help, u64::from(contradicted))?;
        let cosigned = each.iter().map(|one| ([("witness", one.name)], one.cosigned));
        page.gauges("witness_cosigned_entries", "Entries that a witness cosigned last.", cosigned)?;
        let failures = each.iter().map(|one| ([("witness", one.name)], one.failures));
        page.counters("witness_failures", "Requests to a witness that gave no cosignature.", failures)
    }

    /// No sample while there are no heads that count.
    fn heads(&self, page: &mut Page<'_>) -> fmt::Result {
        let now = self.node.now();
        let heads = self.node.chain.feed().current().ok();
        let samples =
            heads.iter().flat_map(|heads| [("latest", &heads.latest), ("finalized", &heads.finalized)]);
        let samples =
            samples.map(|(name, head)| ([("head", name)], now.saturating_sub(head.header.timestamp())));
        page.gauges("chain_head_age_seconds", "How old the heads are that decisions rest on.", samples)
    }

    fn collateral(&self, page: &mut Page<'_>) -> fmt::Result {
        let cache = self.node.collateral.metrics();
        page.counter("collateral_hits", "Collateral that was there.", cache.hits)?;
        page.counter("collateral_waits", "Collateral that had to be fetched first.", cache.waits)?;
        page.counter("collateral_fetches", "Fetches begun.", cache.fetches)?;
        page.counter("collateral_failures", "Fetches that gave nothing usable.", cache.failures)?;
        page.counter("collateral_stale", "Collateral that was due and still valid.", cache.stale_served)?;
        page.gauge("collateral_entries", "Kinds of platform in memory.", count(cache.entries))
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The page that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    /// A gauge that has a sample only where its value is known.
    fn known(&mut self, name: &str, help: &str, value: Option<u64>) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        value.map_or(Ok(()), |value| ConstGauge::new(value).encode(metric))
    }

    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([(&'l str, &'l str); N], u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([(&'l str, &'l str); N], u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
