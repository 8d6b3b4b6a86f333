//! The server as clients and browsers reach it: by the issuer's URL, through whatever stands in between.

use crate::runtime::doctor::facts::{Answer, Facts};
use crate::runtime::doctor::{Check, Finding};
use crate::runtime::probe::Heard;
use crate::store::Survey;
use serde_json::Value;
use std::collections::BTreeSet;
use url::Url;

/// What a listener says to whom it does not take for a proxy that ended TLS.
const TLS_REQUIRED: &str = "TLS is required";

/// Nothing of this is asked while there is no server.
fn reached(facts: &Facts) -> Option<&(String, Answer)> {
    facts.server.issuer.as_ref()
}

fn issuer_of(answer: &Heard) -> Option<String> {
    answer.json().get("issuer").and_then(Value::as_str).map(str::to_owned)
}

pub fn issuer(facts: &Facts, out: &mut Vec<Finding>) {
    let Some((url, answer)) = reached(facts) else { return };
    let expected = &facts.settings.urls.issuer;
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) if why.bad_certificate => {
            let fix = "renew it for that host, and show the whole chain; SSL_CERT_FILE names authorities of your own";
            out.push(Finding::of(Check::IssuerCertificate, url, why.to_string(), fix));
            return;
        }
        Err(why) => {
            let fix = "look at DNS, load balancer and ingress; from a place that cannot reach it, ask from elsewhere";
            out.push(Finding::of(Check::IssuerUnreachable, url, why.to_string(), fix));
            return;
        }
    };
    if answer.text.contains(TLS_REQUIRED) {
        let fix =
            "let the proxy set X-Forwarded-Proto: https, and put its address into serve.tls.allow_termination_from";
        out.push(Finding::of(Check::ProxyUntrusted, url, answer.brief(), fix));
    } else if let Some(to) = answer.location.as_deref().filter(|_| (300..400).contains(&answer.status)) {
        redirected(url, to, out);
    } else if let Some(served) = issuer_of(answer).filter(|_| answer.status == 200) {
        if served != *expected {
            out.push(mismatch(url, expected, &served));
        }
    } else {
        let fix = "route the issuer's URL with its path to the public listener; where the path is to be cut off, \
                   let the proxy do that";
        out.push(Finding::of(Check::IssuerNotServed, url, answer.brief(), fix));
    }
}

fn redirected(url: &str, to: &str, out: &mut Vec<Finding>) {
    let both = Url::parse(url).and_then(|from| Ok((from.clone(), from.join(to)?)));
    let scheme = both.is_ok_and(|(from, to)| from.scheme() != to.scheme() && from.host_str() == to.host_str());
    let what = format!("it leads to {to}");
    out.push(if scheme {
        Finding::of(Check::IssuerScheme, url, what, "write the issuer with the scheme that is served (https)")
    } else {
        Finding::of(Check::IssuerRedirected, url, what, "write the issuer as the URL that answers itself")
    });
}

fn mismatch(url: &str, expected: &str, served: &str) -> Finding {
    let what = format!("it says {served:?}, the settings say {expected:?}");
    let scheme_cut = |text: &str| text.split_once("://").map_or(text.to_owned(), |(_, rest)| rest.to_owned());
    if expected.trim_end_matches('/') == served.trim_end_matches('/') {
        return Finding::of(
            Check::IssuerSlash,
            url,
            what,
            "clients compare it to the letter: write it the same everywhere",
        );
    }
    if scheme_cut(expected) == scheme_cut(served) {
        return Finding::of(Check::IssuerScheme, url, what, "write the issuer with the scheme that clients use");
    }
    Finding::of(
        Check::IssuerMismatch,
        url,
        what,
        "start the server with this issuer, or route the URL to the right server",
    )
}

pub fn discovery(facts: &Facts, out: &mut Vec<Finding>) {
    let Some((url, Ok(through))) = reached(facts) else { return };
    let found = through.json();
    let Some(document) = found.as_object().filter(|d| d.contains_key("issuer")) else { return };
    if facts.settings.urls.issuer.starts_with("https:") {
        let plain = |value: &Value| value.as_str().is_some_and(|url| url.starts_with("http:"));
        for (name, value) in document.iter().filter(|(name, value)| *name != "issuer" && plain(value)) {
            let what = format!("{name} is {value}");
            let fix = "make urls.self.public https, or take it out; see webfinger.oidc_discovery";
            out.push(Finding::of(Check::DiscoveryPlain, name, what, fix));
        }
    }
    if let Some(Ok(direct)) = &facts.server.direct {
        let direct = direct.json();
        if direct.get("issuer") == document.get("issuer") && direct != found {
            let fix = "let the proxy pass it on as it is, and cache it for a short time only";
            out.push(Finding::of(Check::DiscoveryRewritten, url, "it is not what the server's listener says", fix));
        }
    }
}

/// What each endpoint says to a question without anything in it.
fn as_it_should(name: &str, answer: &Heard) -> bool {
    let json_error = answer.json().get("error").is_some_and(Value::is_string) && (400..500).contains(&answer.status);
    match name {
        "token_endpoint" | "device_authorization_endpoint" | "revocation_endpoint" => json_error,
        "userinfo_endpoint" => answer.status == 401,
        _ => answer.status < 500 && !matches!(answer.status, 404 | 405),
    }
}

pub fn endpoints(facts: &Facts, out: &mut Vec<Finding>) {
    let fix = "route it to the public listener with method, path and body as they are; see urls.self.public";
    for (name, url, answer) in &facts.server.endpoints {
        let what = match answer {
            Ok(answer) if as_it_should(name, answer) => continue,
            Ok(answer) => format!("{url} says {}", answer.brief()),
            Err(why) => format!("{url}: {why}"),
        };
        out.push(Finding::of(Check::DiscoveryEndpoint, name, what, fix));
    }
    let keys = |answer: &Heard| answer.status == 200 && answer.json().get("keys").is_some_and(Value::is_array);
    if let Some((url, answer)) = &facts.server.jwks
        && !answer.as_ref().is_ok_and(keys)
    {
        let seen = answer.as_ref().map_or_else(ToString::to_string, Heard::brief);
        out.push(Finding::of(Check::DiscoveryEndpoint, "jwks_uri", format!("{url} says {seen}"), fix));
    }
}

pub fn jwks(facts: &Facts, out: &mut Vec<Finding>) {
    let Some((url, Ok(answer))) = &facts.server.jwks else { return };
    let found = answer.json();
    let Some(keys) = found.get("keys").and_then(Value::as_array) else { return };
    let served: BTreeSet<&str> = keys.iter().filter_map(|key| key.get("kid")?.as_str()).collect();
    // Without its schema the database tells nothing; with a key that does not open nobody knows whether it is to be shown.
    let read = |survey: &Survey| !survey.migrations.is_empty() && survey.migrations.iter().all(|m| m.applied);
    if !matches!(&facts.database, Some(Ok(survey)) if read(survey))
        || facts.keys.iter().any(|key| key.generation.is_none())
    {
        return;
    }
    let stored: BTreeSet<&str> = facts.keys.iter().filter(|key| key.published).map(|key| key.kid.as_str()).collect();
    if stored.is_empty() && served.is_empty() {
        return;
    }
    let list = |kids: Vec<&&str>| kids.iter().map(|kid| **kid).collect::<Vec<_>>().join(", ");
    let missing: Vec<&&str> = stored.difference(&served).collect();
    if !missing.is_empty() {
        let fix = "a cache in between holds an old set, or the server uses another database or other secrets";
        out.push(Finding::of(Check::JwksMissing, url, format!("not among the public keys: {}", list(missing)), fix));
    }
    let unknown: Vec<&&str> = served.difference(&stored).collect();
    if !unknown.is_empty() {
        let fix = "a cache in between holds an old set, or the server uses another database";
        out.push(Finding::of(Check::JwksUnknown, url, format!("not in the database: {}", list(unknown)), fix));
    }
}
