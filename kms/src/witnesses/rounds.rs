//! Rounds: the newest checkpoint is shown to all witnesses at once, and what a quorum has cosigned is shown to the world.
//!
//! ```text
//! begin    every witness that is not still busy, and has not failed a moment ago; each has its time
//! gather   until all have answered, or a quorum has and the others had a moment more, or time is up
//! show     the cosignatures, all at once, through the store's door
//! ```
//!
//! All are asked for one checkpoint, or a busy log would never have a quorum on any. A new round begins when there is a newer
//! checkpoint, after a failure when it is time, and once a minute at least: only who is asked can say that the log was
//! rolled back or runs twice. One round at a time, one request at a time for each witness: so no witness that is honest
//! can ever know more than the checkpoint that it is asked for. Threat: a witness that is slow or floods; a host that
//! keeps the node from its witnesses.

use std::sync::Arc;
use std::time::Duration;

use kms_ledger::note::LogKey;
use kms_ledger::store::Store;
use kms_ledger::witness::WitnessClient;
use kms_ledger::{LedgerCode, LedgerRefusal, SignedCheckpoint};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::remembered::{remembered, time_of_quorum};
use super::view::{Cosigned, Witnesses};
use crate::config;
use crate::node::Node;

/// How long a witness may take to answer, its second try included, and so the longest round.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a round goes on for the others once a quorum has answered.
const LINGER: Duration = Duration::from_secs(1);
/// The least time between two rounds' beginnings: what witnesses and the disk bear for ever.
const ROUND_EVERY: Duration = Duration::from_secs(2);
/// The most time between two rounds, though there is nothing new.
const ASK_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// How often witnesses are asked within the time after which releases would stop.
const ASKED_WITHIN_STOP: u32 = 3;
/// How long a witness is left alone after its first failure; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest that it is left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The witnesses of a node, and who of them is to be asked when.
pub(crate) struct Rounds {
    store: Arc<Store>,
    witnesses: Arc<Witnesses>,
    voices: Vec<Voice>,
    answers: JoinSet<Answer>,
    /// How many entries the checkpoint had that was asked for last.
    asked: u64,
    reached: Reached,
}

/// Whether a quorum cosigned in the last round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Quorum,
    TooFew,
}

/// How long a round goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Until everyone had their time: any one may know that the log was rolled back.
    All,
    /// Until a quorum has answered, and a moment more.
    Quorum,
}

/// A witness.
struct Voice {
    client: WitnessClient,
    /// The size that it cosigned last.
    cosigned: u64,
    /// How often it has failed since it last cosigned.
    failed: u32,
    /// Left alone until then.
    alone_until: Instant,
    /// The request that is under way.
    busy: Option<AbortHandle>,
}

/// What came of asking.
struct Answer {
    which: usize,
    outcome: Result<(SignedCheckpoint, u64), LedgerRefusal>,
}

/// The cosignatures of one round.
struct Gathered {
    signed: SignedCheckpoint,
    times: Vec<u64>,
}

impl Rounds {
    /// The witnesses of the configuration, of the log in this store. Refused where a witness cannot be asked at all.
    pub(crate) fn new(
        terms: &config::Witnesses,
        store: Arc<Store>,
        log: &LogKey,
        witnesses: Arc<Witnesses>,
    ) -> Result<Self, LedgerRefusal> {
        let voice = |at: &config::witnesses::WitnessAt| Ok(Voice::new(at.client()?));
        let voices = terms.each.iter().map(voice).collect::<Result<Vec<_>, LedgerRefusal>>()?;
        let keys: Vec<_> = terms.each.iter().map(|witness| witness.key.clone()).collect();
        witnesses.remember(remembered(&store.log_folder(), log, &keys, terms.quorum));
        Ok(Self { store, witnesses, voices, answers: JoinSet::new(), asked: 0, reached: Reached::TooFew })
    }

    /// The round before anything is recorded: everyone is asked for the log as it was found, and heard out.
    pub(crate) async fn first(&mut self, now: impl Fn() -> u64) {
        // What was durable and not yet published counts too. Where it cannot be published, the rounds to come say so.
        drop(self.store.publish().await);
        self.round(Patience::All, now).await;
    }

    async fn round(&mut self, patience: Patience, now: impl Fn() -> u64) {
        let checkpoint = self.store.checkpoint();
        self.asked = checkpoint.checkpoint().size;
        self.begin(&checkpoint);
        let gathered = self.gather(&checkpoint, patience).await;
        let Some(time) = time_of_quorum(gathered.times, self.witnesses.quorum()) else {
            self.reached = Reached::TooFew;
            return;
        };
        self.reached = Reached::Quorum;
        // A witness whose clock is ahead vouches for now, not for the time to come.
        self.witnesses.reached(Cosigned { size: self.asked, time: time.min(now()) });
        if let Err(fault) = self.store.show_witnessed(gathered.signed).await {
            tracing::warn!(%fault, "cosignatures not shown");
        }
    }

    fn begin(&mut self, checkpoint: &SignedCheckpoint) {
        let now = Instant::now();
        for (which, voice) in self.voices.iter_mut().enumerate().filter(|(_, voice)| voice.may_be_asked(now))
        {
            let (store, witnesses) = (Arc::clone(&self.store), Arc::clone(&self.witnesses));
            let asking =
                ask(which, voice.client.clone(), voice.cosigned, checkpoint.clone(), store, witnesses);
            voice.busy = Some(self.answers.spawn(asking));
        }
    }

    async fn gather(&mut self, checkpoint: &SignedCheckpoint, patience: Patience) -> Gathered {
        let mut gathered = Gathered { signed: checkpoint.clone(), times: Vec::new() };
        let mut until = Instant::now() + ANSWER_WITHIN;
        while let Ok(Some(answered)) = timeout_at(until, self.answers.join_next()).await {
            let Ok(answer) = answered else { continue };
            self.take(answer, &mut gathered);
            if patience == Patience::Quorum && gathered.times.len() == self.witnesses.quorum() {
                until = until.min(Instant::now() + LINGER);
            }
        }
        gathered
    }

    /// Takes an answer in: of this round, or of one before that came late.
    fn take(&mut self, Answer { which, outcome }: Answer, gathered: &mut Gathered) {
        let Some(voice) = self.voices.get_mut(which) else { return };
        match outcome {
            Ok((signed, time)) => {
                voice.cosigned = signed.checkpoint().size;
                voice.failed = 0;
                gathered.add(&signed, time, voice.client.key());
            }
            Err(_) => voice.rest(),
        }
    }

    /// How long until the next round, though the log does not grow.
    fn pause(&self) -> Duration {
        let usual = match self.witnesses.stop_after() {
            Some(stop) => ASK_AGAIN_AFTER.min(stop / ASKED_WITHIN_STOP),
            None => ASK_AGAIN_AFTER,
        };
        if self.reached == Reached::Quorum {
            return usual;
        }
        let now = Instant::now();
        let rests = self.voices.iter().map(|voice| voice.alone_until.saturating_duration_since(now));
        rests.filter(|rest| !rest.is_zero()).min().map_or(usual, |rest| rest.min(usual))
    }
}

impl Voice {
    fn new(client: WitnessClient) -> Self {
        Self { client, cosigned: 0, failed: 0, alone_until: Instant::now(), busy: None }
    }

    fn may_be_asked(&self, now: Instant) -> bool {
        self.alone_until <= now && self.busy.as_ref().is_none_or(AbortHandle::is_finished)
    }

    /// Leaves it alone for a while.
    fn rest(&mut self) {
        let pause = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.failed).unwrap_or(u32::MAX));
        self.failed = self.failed.saturating_add(1);
        self.alone_until = Instant::now() + pause.min(LONGEST_PAUSE);
    }
}

impl Gathered {
    /// Takes in a cosignature if it is of this checkpoint.
    fn add(&mut self, cosigned: &SignedCheckpoint, time: u64, key: &kms_ledger::note::WitnessKey) {
        if cosigned.checkpoint() != self.signed.checkpoint() {
            return;
        }
        let mine =
            cosigned.note().signatures().iter().rfind(|line| line.name == *key.name() && line.id == key.id());
        if mine.is_some_and(|line| self.signed.add_cosignature(line.clone(), key).is_ok()) {
            self.times.push(time);
        }
    }
}

/// Asks one witness. What it says is known at once, also when the round is over.
async fn ask(
    which: usize,
    client: WitnessClient,
    cosigned: u64,
    mut signed: SignedCheckpoint,
    store: Arc<Store>,
    witnesses: Arc<Witnesses>,
) -> Answer {
    let asked = timeout(ANSWER_WITHIN, client.cosign(&mut signed, cosigned, &store)).await;
    let late = |_| {
        let found = format!("no answer in {} s", ANSWER_WITHIN.as_secs());
        Err(LedgerRefusal::new(LedgerCode::LogSource, found, "a cosignature"))
    };
    match asked.unwrap_or_else(late) {
        Ok(time) => {
            witnesses.cosigned(which, signed.checkpoint().size);
            Answer { which, outcome: Ok((signed, time)) }
        }
        Err(refusal) => {
            witnesses.failed(which, refusal.clone());
            Answer { which, outcome: Err(refusal) }
        }
    }
}

/// Round after round, until a witness contradicts the log: nothing changes that but a person.
pub(crate) async fn keep_witnessed(mut rounds: Rounds, node: Arc<Node>) {
    let mut checkpoints = rounds.store.checkpoints();
    while rounds.witnesses.contradiction().is_none() {
        let (asked, pause) = (rounds.asked, rounds.pause());
        let earliest = Instant::now() + ROUND_EVERY;
        tokio::select! {
            () = sleep(pause) => {}
            _ = checkpoints.wait_for(|newest| newest.checkpoint().size > asked) => {}
        }
        sleep_until(earliest).await;
        rounds.round(Patience::Quorum, || node.now()).await;
    }
}
