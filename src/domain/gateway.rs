//! What an API gateway asks of a token: policies by name, and the headers that tell an upstream who calls.
//!
//! Invariant: two different subjects never get the same header, and a header that a policy names is always there, so that
//! a gateway which copies it replaces what a caller wrote into it.

use super::scope::{ScopeStrategy, is_scope_token};
use super::token::introspection::Told;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Bytes of all header values together: many a gateway reads 4 KB of headers and no more.
const ROOM: usize = 3400;
/// Headers that a policy may add.
const MOST_HEADERS: usize = 16;
/// Every header of ours begins so: one rule of a gateway strips what callers send.
const PREFIX: &str = "X-Auth-";
/// Tells the phantom token.
const TOKEN: &str = "X-Auth-Token";
/// The headers of every answer, each with its claim, the first ones first when room gets scarce.
const OWN: [(&str, &str); 6] = [
    ("X-Auth-Subject", "sub"),
    ("X-Auth-Client-Id", "client_id"),
    ("X-Auth-Expires", "exp"),
    (TOKEN, ""),
    ("X-Auth-Scope", "scope"),
    ("X-Auth-Audience", "aud"),
];
/// What would not stand for itself in a header; the percent sign, so that no two texts become one.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// What `/authz/{policy}` asks of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Scopes it must cover.
    pub scopes: Scopes,
    /// One of these must be in its audience; none asks for nothing.
    #[serde(deserialize_with = "one_or_many")]
    pub audience: Vec<String>,
    /// More headers, each with the claim it tells: `sub`, `client_id`, `scope`, `aud`, `exp`, `iat`, `iss` or `ext.NAME`.
    pub headers: BTreeMap<String, String>,
    /// `OPTIONS` passes without a token: for gateways that keep the method.
    pub allow_preflight: bool,
    /// Tell the token as a JWT too.
    pub phantom: bool,
    /// The cookie that holds the token of a request without an `Authorization` header.
    pub cookie: Option<String>,
}

/// Scopes that a token must cover.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scopes {
    /// Each of these.
    #[serde(deserialize_with = "one_or_many")]
    pub all: Vec<String>,
    /// And one of these, if there are any.
    #[serde(deserialize_with = "one_or_many")]
    pub any: Vec<String>,
}

fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "write a text or a list of texts")]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Texts::deserialize(from)? {
        Texts::One(one) => vec![one],
        Texts::Many(many) => many,
    })
}

/// What a policy says to a token that is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Allow,
    /// It was issued for another audience.
    OtherAudience,
    /// It lacks a scope.
    InsufficientScope,
}

/// Whether a policy may be called so: it is a part of a path, and of configuration.
pub fn is_policy_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

impl Policy {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// What is wrong, for the operator.
    pub fn check(&self) -> Result<(), String> {
        if let Some(scope) = self.scopes.all.iter().chain(&self.scopes.any).find(|scope| !is_scope_token(scope)) {
            return Err(format!("{scope:?} is not one scope"));
        }
        if self.headers.len() > MOST_HEADERS {
            return Err(format!("more than {MOST_HEADERS} headers"));
        }
        for (name, claim) in &self.headers {
            if !is_header_of_ours(name) {
                return Err(format!("the header {name:?} does not begin with {PREFIX}, or is one of Signet's own"));
            }
            if !is_claim(claim) {
                return Err(format!("the header {name:?} tells {claim:?}, which is no claim that is known here"));
            }
        }
        match &self.cookie {
            Some(cookie) if !is_token(cookie) => Err(format!("{cookie:?} is no name for a cookie")),
            _ => Ok(()),
        }
    }

    /// Judges a token that is active.
    pub fn judge(&self, told: &Told, strategy: ScopeStrategy) -> Verdict {
        let covers = |scope: &String| strategy.covers(told.scope.split(' ').filter(|s| !s.is_empty()), scope);
        if !self.audience.is_empty() && !self.audience.iter().any(|one| told.aud.contains(one)) {
            return Verdict::OtherAudience;
        }
        let any = self.scopes.any.is_empty() || self.scopes.any.iter().any(covers);
        if any && self.scopes.all.iter().all(covers) { Verdict::Allow } else { Verdict::InsufficientScope }
    }

    /// The scopes that it asks for, as a challenge names them (RFC 6750 §3).
    pub fn scope(&self) -> String {
        let all: Vec<&str> = self.scopes.all.iter().chain(&self.scopes.any).map(String::as_str).collect();
        all.join(" ")
    }

    /// The headers for the upstream, each value visible ASCII. One that finds no room is empty; `None` when that is who
    /// calls.
    pub fn told(&self, told: &Told, phantom: Option<&str>) -> Option<Vec<(&str, String)>> {
        let mut room = ROOM;
        let mut fit = |value: String| {
            let left = room.checked_sub(value.len());
            room = left.unwrap_or(room);
            left.map(|_| value)
        };
        let mut headers = Vec::with_capacity(OWN.len() + self.headers.len());
        for (name, claim) in OWN {
            let value = if name == TOKEN { phantom.unwrap_or_default().to_owned() } else { value_of(told, claim) };
            let fitted = fit(value);
            if fitted.is_none() && matches!(claim, "sub" | "client_id") {
                return None;
            }
            headers.push((name, fitted.unwrap_or_default()));
        }
        for (name, claim) in &self.headers {
            headers.push((name.as_str(), fit(value_of(told, claim)).unwrap_or_default()));
        }
        Some(headers)
    }
}

fn is_header_of_ours(name: &str) -> bool {
    let prefixed = name.get(..PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(PREFIX));
    prefixed
        && name.len() > PREFIX.len()
        && is_token(name)
        && !OWN.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_claim(claim: &str) -> bool {
    matches!(claim, "sub" | "client_id" | "scope" | "aud" | "exp" | "iat" | "iss")
        || claim.strip_prefix("ext.").is_some_and(|name| !name.is_empty())
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.map(escaped).collect::<Vec<_>>().join(" ")
}

fn value_of(told: &Told, claim: &str) -> String {
    match claim {
        "sub" => escaped(&told.sub),
        "client_id" => escaped(&told.client_id),
        "scope" => list(told.scope.split(' ').filter(|s| !s.is_empty())),
        "aud" => list(told.aud.iter().map(String::as_str)),
        "exp" => told.exp.map(|exp| exp.to_string()).unwrap_or_default(),
        "iat" => told.iat.to_string(),
        "iss" => escaped(&told.iss),
        other => other.strip_prefix("ext.").and_then(|name| told.ext.get(name)).map(text_of).unwrap_or_default(),
    }
}

/// A list is its texts; an object has no text.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => escaped(text),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Array(items) => list(items.iter().filter_map(Value::as_str)),
        Value::Null | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn policy(json: Value) -> Policy {
        let policy: Policy = serde_json::from_value(json).unwrap();
        policy.check().unwrap();
        policy
    }

    fn told(over: Value) -> Told {
        let mut json = json!({"sub": "alice", "client_id": "app", "scope": "read write.*", "aud": ["api", "b"], "exp": 9,
            "iat": 5, "iss": "https://id.example", "ext": {"tenant": "t 1", "roles": ["a b", "ü"], "deep": {}, "n": 7}});
        for (key, value) in over.as_object().unwrap() {
            json[key] = value.clone();
        }
        serde_json::from_value(json).unwrap()
    }

    fn header(of: &[(&str, String)], name: &str) -> String {
        of.iter().find(|(n, _)| *n == name).unwrap().1.clone()
    }

    #[test]
    fn a_policy_asks_for_scopes_and_audience() {
        use Verdict::{Allow, InsufficientScope, OtherAudience};
        for (asked, verdict) in [
            (json!({}), Allow),
            (json!({"scopes": {"all": ["read"]}}), Allow),
            (json!({"scopes": {"all": "read"}}), Allow),
            (json!({"scopes": {"all": ["read", "write.all"]}}), Allow),
            (json!({"scopes": {"all": ["read", "admin"]}}), InsufficientScope),
            (json!({"scopes": {"any": ["admin", "read"]}}), Allow),
            (json!({"scopes": {"any": ["admin"]}}), InsufficientScope),
            (json!({"scopes": {"all": ["read"], "any": ["admin"]}}), InsufficientScope),
            (json!({"audience": "api"}), Allow),
            (json!({"audience": ["c", "b"]}), Allow),
            (json!({"audience": ["c"], "scopes": {"all": ["admin"]}}), OtherAudience),
        ] {
            assert_eq!(policy(asked.clone()).judge(&told(json!({})), ScopeStrategy::Wildcard), verdict, "{asked}");
        }
        let none = told(json!({"scope": "", "aud": []}));
        assert_eq!(policy(json!({"scopes": {"any": ["a"]}})).judge(&none, ScopeStrategy::Exact), InsufficientScope);
        assert_eq!(policy(json!({"audience": "a"})).judge(&none, ScopeStrategy::Exact), OtherAudience);
        assert_eq!(policy(json!({"scopes": {"all": "a", "any": ["b", "c"]}})).scope(), "a b c");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        for (json, wrong) in [
            (json!({"scope": ["a"]}), "unknown field `scope`"),
            (json!({"scopes": {"all": [1]}}), "a list of texts"),
            (json!({"scopes": {"all": ["a b"]}}), "\"a b\""),
            (json!({"headers": {"X-Team": "ext.team"}}), "\"X-Team\""),
            (json!({"headers": {"x-auth-subject": "sub"}}), "\"x-auth-subject\""),
            (json!({"headers": {"X-Auth-Team": "team"}}), "\"team\""),
            (json!({"headers": {"X-Auth-Te am": "sub"}}), "X-Auth-Te am"),
            (json!({"cookie": "a=b"}), "\"a=b\""),
        ] {
            let read = serde_json::from_value::<Policy>(json).map_err(|e| e.to_string());
            let said = read.and_then(|policy| policy.check()).unwrap_err();
            assert!(said.contains(wrong), "{said}");
        }
        assert!(is_policy_name("read-1_x") && !is_policy_name("") && !is_policy_name("Read") && !is_policy_name("a/b"));
    }

    #[test]
    fn headers_tell_who_calls_in_visible_ascii() {
        let policy = policy(json!({"headers": {"X-Auth-Tenant": "ext.tenant", "X-Auth-Roles": "ext.roles",
            "X-Auth-Deep": "ext.deep", "X-Auth-N": "ext.n", "X-Auth-None": "ext.none", "X-Auth-Iss": "iss"}}));
        let token = told(json!({"sub": "größe 100%\r\nX-Admin: 1"}));
        let all = policy.told(&token, Some("a.b.c")).unwrap();
        for (name, value) in [
            ("X-Auth-Subject", "gr%C3%B6%C3%9Fe%20100%25%0D%0AX-Admin:%201"),
            ("X-Auth-Client-Id", "app"),
            ("X-Auth-Expires", "9"),
            ("X-Auth-Token", "a.b.c"),
            ("X-Auth-Scope", "read write.*"),
            ("X-Auth-Audience", "api b"),
            ("X-Auth-Tenant", "t%201"),
            ("X-Auth-Roles", "a%20b %C3%BC"),
            ("X-Auth-Deep", ""),
            ("X-Auth-N", "7"),
            ("X-Auth-None", ""),
            ("X-Auth-Iss", "https://id.example"),
        ] {
            assert_eq!(header(&all, name), value, "{name}");
        }
        assert_eq!(header(&policy.told(&token, None).unwrap(), "X-Auth-Token"), "");
    }

    #[test]
    fn headers_have_bounded_room_and_who_calls_is_never_left_out() {
        let policy = policy(json!({}));
        let scope = vec!["a-scope-of-some-length"; 400].join(" ");
        let all = policy.told(&told(json!({"scope": scope})), Some(&"x".repeat(3000))).unwrap();
        assert_eq!(header(&all, "X-Auth-Scope"), "");
        assert_eq!((header(&all, "X-Auth-Subject"), header(&all, "X-Auth-Audience")), ("alice".into(), "api b".into()));
        assert_eq!(header(&all, "X-Auth-Token").len(), 3000);
        assert!(policy.told(&told(json!({"sub": "x".repeat(5000)})), None).is_none());
    }

    proptest! {
        #[test]
        fn no_two_subjects_look_alike(a in ".{0,40}", b in ".{0,40}") {
            prop_assert_eq!(a == b, escaped(&a) == escaped(&b));
            prop_assert!(escaped(&a).bytes().all(|byte| byte.is_ascii_graphic()));
        }

        #[test]
        fn headers_fit_into_four_kilobytes(sub in ".{0,400}", scope in "[a-z ]{0,6000}", token in "[a-z.]{0,6000}") {
            let of = told(json!({"sub": sub, "scope": scope}));
            if let Some(all) = Policy::default().told(&of, Some(&token)) {
                let size: usize = all.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
                prop_assert!(size < 3600, "{size}");
            }
        }
    }
}
