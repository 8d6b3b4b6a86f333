//! The server that runs, asked at its listeners.

use crate::http::public::well_known::document;
use crate::runtime::doctor::facts::Facts;
use crate::runtime::doctor::{Check, Finding};
use crate::runtime::rules::rules;
use serde_json::Value;

/// A `Date` has whole seconds, and an answer takes its time.
const APART: u64 = 5;

pub fn answers(facts: &Facts, out: &mut Vec<Finding>) {
    let server = &facts.server;
    if !server.answers() && !server.named {
        let tried: Vec<&str> = server.ready.iter().map(|(url, _)| url.as_str()).collect();
        let what = format!("nothing answers at {}", tried.join(" and "));
        out.push(Finding::of(
            Check::ServerDown,
            "serve",
            what,
            "start it, or say where it is with --public and --admin",
        ));
        return;
    }
    for (url, answer) in &server.ready {
        match answer {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => {
                out.push(Finding::of(
                    Check::ServerNotReady,
                    url,
                    answer.brief(),
                    "mend what it names; `signet healthcheck` asks again",
                ));
            }
            Err(why) => {
                out.push(Finding::of(
                    Check::ServerUnreachable,
                    url,
                    why.to_string(),
                    "see that it runs, listens there, and lets you in",
                ));
            }
        }
    }
    if let Some(version) = server.version.as_deref().filter(|v| *v != concat!("v", env!("CARGO_PKG_VERSION"))) {
        let what = format!("it runs {version}, this program is v{}", env!("CARGO_PKG_VERSION"));
        out.push(Finding::of(Check::ServerVersion, "version", what, "use the server's own program to look at it"));
    }
    if let Some(ahead) = server.ahead.filter(|ahead| ahead.unsigned_abs() > APART) {
        let side = if ahead > 0 { "ahead of" } else { "behind" };
        let what = format!("its clock is {} s {side} this machine's", ahead.unsigned_abs());
        out.push(Finding::of(Check::ServerClock, "clock", what, "synchronise both by NTP"));
    }
}

/// Whether the server that runs has these settings: its discovery is the one that they make.
pub fn same(facts: &Facts, out: &mut Vec<Finding>) {
    let Some(Ok(direct)) = &facts.server.direct else { return };
    let found = direct.json();
    let Some(served) = found.as_object().filter(|served| served.contains_key("issuer")) else { return };
    let alg = served.get("id_token_signing_alg_values_supported").and_then(|algs| algs.get(0)).and_then(Value::as_str);
    let rules = rules(&facts.settings);
    let made = document(&rules.issuer, &rules.public_url, &rules.discovery, alg.unwrap_or("RS256"));
    let names = served.keys().chain(made.keys());
    let mut differ: Vec<&str> = names.filter(|name| served.get(*name) != made.get(*name)).map(String::as_str).collect();
    differ.sort_unstable();
    differ.dedup();
    if !differ.is_empty() {
        let what = format!("its discovery differs from these settings in {}", differ.join(", "));
        out.push(Finding::of(
            Check::DiscoveryStale,
            "discovery",
            what,
            "restart it with these settings, or look with the ones it has",
        ));
    }
}
