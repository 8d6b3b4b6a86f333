//! What every scenario asks, held against `loadtest/requests.txt`. The k6 scripts are held against the same list.

use std::collections::{BTreeMap, BTreeSet};

use super::fake::Fake;
use crate::http::connection::Wire;
use crate::scenarios::Kind;
use crate::smoke;

/// The list: requests by scenario.
pub fn listed() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/requests.txt")).unwrap();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut scenario = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            scenario = name.trim_end_matches(']').to_owned();
            continue;
        }
        let lines =
            line.strip_prefix("+ ").map_or_else(|| BTreeSet::from([line.to_owned()]), |other| found[other].clone());
        found.entry(scenario.clone()).or_default().extend(lines);
    }
    found
}

/// How the list would have to read for what was asked, if it reads otherwise.
pub fn compare(who: &str, scenario: &str, asked: &[String]) -> Option<String> {
    let listed = listed().remove(scenario).unwrap_or_default();
    let same = asked.iter().cloned().collect::<BTreeSet<_>>() == listed;
    (!same)
        .then(|| format!("# {who} asks other requests than requests.txt lists:\n[{scenario}]\n{}\n", asked.join("\n")))
}

/// The scenario's name in the list.
fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::ClientCredentials { .. } => "client-credentials",
        Kind::TokenRefused => "token-refused",
        Kind::Introspect { invalid: false, .. } => "introspect",
        Kind::Introspect { invalid: true, .. } => "introspect --invalid",
        Kind::CodeFlow { .. } => "code-flow",
        Kind::Refresh { .. } => "refresh",
        Kind::Userinfo { .. } => "userinfo",
        Kind::Revoke { kind, .. } if kind == "refresh" => "revoke --kind refresh",
        Kind::Revoke { .. } => "revoke",
        Kind::Jwks => "jwks",
        Kind::Discovery => "discovery",
        Kind::Mixed { .. } => "mixed",
        Kind::Million { .. } => "million",
        Kind::WrongSecrets { .. } => "wrong-secrets",
        Kind::Storm { .. } => "storm",
        Kind::PrivateKeyJwt { .. } => "private-key-jwt",
        Kind::Staleness { .. } => "staleness",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_works_and_asks_what_is_listed() {
    let (mut seen, mut faults) = (BTreeSet::new(), Vec::new());
    for kind in smoke::kinds(None) {
        let fake = Fake::start();
        let target = fake.target();
        let scenario = kind.prepare(&target, 1).await.unwrap();
        let (mut worker, mut wire) = ((scenario.source)(0), Wire::default());
        // A hundred units hold every kind of the mix.
        for n in 0..100 {
            let Some(unit) = worker.unit(n, &mut wire).await else { break };
            assert!(unit.ok, "{kind:?}: {unit:?}");
        }
        target.forget(&scenario.clients).await;
        faults.extend(compare("the driver", name(&kind), &fake.asked()));
        seen.insert(name(&kind).to_owned());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(listed().into_keys().collect::<BTreeSet<_>>(), seen, "scenarios in requests.txt");
}

#[tokio::test]
async fn a_server_that_refuses_is_a_failure() {
    let fake = Fake::start();
    let target = fake.target();
    for kind in [Kind::CodeFlow { remember: false }, Kind::Refresh { id_token: false, duplicates: 0, chains: 1 }] {
        let scenario = kind.prepare(&target, 1).await.unwrap();
        // Without its clients the server knows nobody.
        target.forget(&scenario.clients).await;
        let unit = (scenario.source)(0).unit(0, &mut Wire::default()).await.unwrap();
        assert!(!unit.ok && unit.outcome.contains("401"), "{kind:?}: {unit:?}");
    }
}
