#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]

use super::super::samples::{LIFESPANS, client, session};
use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_secs(1000);
const FRESH: Token<'_> =
    Token { client_id: "c", used_at: None, kept: true, replayed: 0, expired: false, revoked: false, now: NOW };

fn rules(period: u64, most: u32) -> Rules {
    let grace = Grace { period: Duration::from_secs(period), most };
    Rules { strategy: ScopeStrategy::Wildcard, lifespans: LIFESPANS, grace }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

fn decided(token: Token<'_>, rules: &Rules) -> Result<Decision, OAuthError> {
    decide(&client(), &token, &session(&["openid", "offline", "a"]), &[], rules)
}

#[test]
fn a_fresh_token_is_exchanged_with_the_lifespans_of_refreshing() {
    let Ok(Decision::Rotate(issue)) = decided(FRESH, &rules(0, 0)) else { panic!("it was refused") };
    assert!(issue.refresh && issue.id_token && issue.lifespans.access.as_secs() == 2);
    assert_eq!(issue.scope, ["openid", "offline", "a"]);
}

#[test]
fn c01_c03_a_used_token_ends_the_grant_unless_within_the_grace() {
    let used = |seconds_ago: i64, replayed| Token {
        used_at: Some(Timestamp::from_secs(1000 - seconds_ago)),
        replayed,
        ..FRESH
    };
    for (token, rules, outcome) in [
        (used(0, 0), rules(0, 0), Decision::Reused),
        (used(9, 100), rules(10, 0), Decision::Replay),
        (used(10, 0), rules(10, 0), Decision::Reused),
        (used(9, 1), rules(10, 2), Decision::Replay),
        (used(9, 2), rules(10, 2), Decision::Reused),
        (used(-5, 0), rules(10, 0), Decision::Replay),
    ] {
        assert_eq!(decided(token, &rules), Ok(outcome.clone()), "{token:?}");
        assert_eq!(token.is_active(rules.grace), outcome == Decision::Replay);
        assert_eq!(decided(Token { kept: false, ..token }, &rules), Ok(Decision::Reused), "there is nothing to give");
        let over = Token { expired: true, ..token };
        assert_eq!(decided(over, &rules), Ok(outcome), "a used token that is over is judged as a used one");
    }
}

#[test]
fn c06_who_may_not_hears_why_and_the_token_stays_unused() {
    let used = Token { used_at: Some(NOW), ..FRESH };
    for (token, why) in [
        (Token { client_id: "d", ..FRESH }, "Client ID"),
        (Token { client_id: "d", ..used }, "Client ID"),
        (Token { revoked: true, ..FRESH }, "malformed"),
        (Token { revoked: true, ..used }, "malformed"),
        (Token { expired: true, ..FRESH }, "expired"),
    ] {
        let e = decided(token, &rules(60, 0)).unwrap_err();
        assert_eq!(e.code, ErrorCode::InvalidGrant);
        assert!(e.hint.contains(why), "{} instead of {why}", e.hint);
    }
    for token in [FRESH, Token { revoked: true, ..FRESH }, Token { expired: true, ..FRESH }] {
        assert_eq!(token.is_active(Grace::default()), !token.revoked && !token.expired);
    }
}

#[test]
fn c06_what_the_client_may_no_longer_ask_for_is_not_refreshed() {
    let mut granted = session(&["offline", "a"]);
    granted.audience = vec!["https://api".to_owned()];
    let all = Client { audience: granted.audience.clone(), ..client() };
    assert!(decide(&all, &FRESH, &granted, &[], &rules(0, 0)).is_ok());
    for (client, code) in [
        (Client { scope: "offline b".to_owned(), ..all.clone() }, ErrorCode::InvalidScope),
        (Client { audience: Vec::new(), ..all.clone() }, ErrorCode::InvalidRequest),
    ] {
        assert_eq!(decide(&client, &FRESH, &granted, &[], &rules(0, 0)).unwrap_err().code, code);
    }
    let online = decide(&all, &FRESH, &session(&["a"]), &[], &rules(0, 0)).unwrap_err();
    assert_eq!(online.code, ErrorCode::ScopeNotGranted);
}

proptest! {
    /// Whatever is asked for, the access token never gets a scope that was not granted, and nothing else changes.
    #[test]
    fn scope_is_narrowed_and_never_widened(asked in prop::collection::vec("openid|offline|a|b|c\\.d|\\*", 0..5)) {
        let granted = session(&["openid", "offline", "a", "c.*"]);
        let client = Client { scope: "openid offline a b c.*".to_owned(), ..client() };
        let covered = |s: &String| !["b", "*"].contains(&s.as_str());
        match decide(&client, &FRESH, &granted, &asked, &rules(0, 0)) {
            Ok(Decision::Rotate(issue)) => {
                prop_assert!(asked.iter().all(covered));
                prop_assert!(issue.refresh);
                prop_assert_eq!(issue.id_token, asked.is_empty() || asked.contains(&"openid".to_owned()));
                prop_assert_eq!(&issue.scope, if asked.is_empty() { &granted.scope } else { &asked });
            }
            Err(e) => {
                prop_assert_eq!(e.code, ErrorCode::InvalidScope);
                prop_assert!(!asked.iter().all(covered));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn scopes_that_are_no_tokens_are_refused() {
    for bad in ["\u{7f}", "a\"", "é"] {
        let e = decide(&client(), &FRESH, &session(&["offline", "*"]), &words(bad), &rules(0, 0));
        assert!(e.is_err(), "{bad}");
    }
}
