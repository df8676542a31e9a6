//! What the node's own code issues is what an auditor demands of it: whatever policy grants passes his check, and nothing
//! that was issued for another app, another time or by another policy does.

use kms_ledger::issued::{IssuedLeaf, Terms};
use kms_verdict::policy_document::CertificateTerms;

use crate::*;

fn terms() -> CertificateTerms {
    CertificateTerms {
        app_ca_lifetime_s: 365 * DAY,
        leaf_max_lifetime_s: 30 * DAY,
        node_lifetime_s: HOUR,
        zone: "apps.internal".to_owned(),
    }
}

/// Every usage, number of names and life that policy grants, at their bounds.
fn granted() -> Vec<LeafRequest> {
    let usages = [
        BTreeSet::from([LeafUsage::Server]),
        BTreeSet::from([LeafUsage::Client]),
        BTreeSet::from([LeafUsage::Client, LeafUsage::Server]),
    ];
    let many: Vec<_> = (0..16).map(|number| app_name(&format!("n{number}."))).collect();
    let names = [vec![app_name("")], vec![app_name("z."), app_name("a.b-1.")], many];
    let mut requests = Vec::new();
    for (usages, names) in usages.iter().flat_map(|usages| names.iter().map(move |names| (usages, names))) {
        for secs in [600, DAY, 30 * DAY] {
            let lifetime = Lifetime::from_secs(secs).unwrap();
            requests.push(LeafRequest { usages: usages.clone(), lifetime, ..request(names) });
        }
    }
    requests
}

#[test]
fn leaf__should_be_what_an_auditor_demands_of_it() {
    let (root, policy, terms) = (root(1), policy(), terms());
    let ca = app_ca(&root);
    for request in granted() {
        let issued = ca.issue_leaf(&request, &policy, NOW).unwrap();
        let of = Terms { app_id: APP, time: NOW, policy: &terms };
        let read = IssuedLeaf::check(&issued.der, &of).unwrap();
        let names: Vec<_> = request.names.iter().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(read.names, names);
        assert_eq!(read.usages.len(), request.usages.len());
        assert_eq!(read.validity, (issued.validity.not_before, issued.validity.not_after));
        assert_eq!(LeafPublicKey::from_spki_der(&read.spki).unwrap(), request.public_key);
        let part = |of| IssuedLeaf::check(&issued.der, &of).unwrap_err().part;
        assert_eq!(part(Terms { app_id: AppId::ZERO, ..of }), "certificate.issuer");
        assert_eq!(part(Terms { time: NOW + 1, ..of }), "certificate.validity");
        let elsewhere = CertificateTerms { zone: "other.internal".to_owned(), ..terms.clone() };
        assert_eq!(part(Terms { policy: &elsewhere, ..of }), "certificate.names");
    }
}

#[test]
fn certificates_of_others__should_not_pass_as_an_apps_leaf() {
    let (root, terms) = (root(1), terms());
    let ca = app_ca(&root);
    let node = NodeRequest {
        public_key: request(&[]).public_key,
        names: BTreeSet::from([name("kms.example")]),
        lifetime: Lifetime::from_secs(HOUR).unwrap(),
        evidence: Vec::new(),
    };
    let node = root.root_ca().issue_node(node, &policy(), NOW).unwrap();
    for der in [&ca.certificate().der[..], root.root_ca().certificate(), &node.der] {
        let read = IssuedLeaf::check(der, &Terms { app_id: APP, time: NOW, policy: &terms });
        assert_eq!(read.unwrap_err().part, "certificate.issuer");
    }
}
