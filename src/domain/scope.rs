//! Scopes and audiences: parsing, and which of them a client may ask for.

use url::Url;

/// How a granted scope covers a requested one (`strategies.scope`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeStrategy {
    /// `a.*` covers `a.b` and `a.b.c`, and nothing else does but itself.
    #[default]
    Wildcard,
    /// Only itself.
    Exact,
}

impl ScopeStrategy {
    /// Whether one of `allowed` covers `scope`.
    pub fn covers<'a>(self, allowed: impl IntoIterator<Item = &'a str>, scope: &str) -> bool {
        allowed.into_iter().any(|a| match self {
            Self::Exact => a == scope,
            Self::Wildcard => wildcard_covers(a, scope),
        })
    }
}

/// A `*` stands for one or more characters of one dotted part; as the last part, for any number of parts more.
fn wildcard_covers(allowed: &str, scope: &str) -> bool {
    if scope.contains('*') {
        return allowed == scope;
    }
    let mut have = allowed.split('.').peekable();
    let mut asked = scope.split('.');
    while let Some(a) = have.next() {
        let Some(s) = asked.next() else { return false };
        if a == "*" && !s.is_empty() {
            if have.peek().is_none() {
                return true;
            }
        } else if a != s || a.is_empty() {
            return false;
        }
    }
    asked.next().is_none()
}

/// The scopes of a space-separated list (RFC 6749 §3.3), each once, in order.
pub fn parse_scope(text: &str) -> Vec<String> {
    unique(text.split(' ').filter(|s| !s.is_empty()).map(str::to_owned))
}

/// Whether this is a scope-token: %x21 / %x23-5B / %x5D-7E (RFC 6749 §3.3).
pub fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// The audiences of repeated and of space-separated values, each once, in order.
pub fn parse_audience<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    unique(values.into_iter().flat_map(|v| v.split(' ')).filter(|s| !s.is_empty()).map(str::to_owned))
}

fn unique(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    items.filter(|i| seen.insert(i.clone())).collect()
}

/// Whether a client with these registered audiences may ask for `audience`: the same text, or, between URLs, the same
/// scheme, host and port with a path below the registered one.
pub fn audience_allowed(registered: &[String], audience: &str) -> bool {
    registered.iter().any(|r| r == audience || url_covers(r, audience))
}

/// The parser drops tabs and line ends and turns backslashes around, but the token would say what was asked for: what it
/// would repair is refused.
fn url_covers(registered: &str, asked: &str) -> bool {
    if !asked.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return false;
    }
    let (Ok(r), Ok(a)) = (Url::parse(registered), Url::parse(asked)) else { return false };
    if !r.has_host()
        || r.scheme() != a.scheme()
        || r.host() != a.host()
        || r.port_or_known_default() != a.port_or_known_default()
    {
        return false;
    }
    let clean = |u: &Url| u.username().is_empty() && u.password().is_none();
    let base = r.path().trim_end_matches('/');
    clean(&r)
        && clean(&a)
        && r.query() == a.query()
        && (a.path() == base || a.path().strip_prefix(base).is_some_and(|rest| rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (allowed, scope, covers) in [
            ("read", "read", true),
            ("read", "write", false),
            ("foo.*", "foo.bar", true),
            ("foo.*", "foo.bar.baz", true),
            ("foo.*", "foo", false),
            ("foo.*", "foo.", false),
            ("foo.*.baz", "foo.bar.baz", true),
            ("foo.*.baz", "foo.bar.qux", false),
            ("foo.*.baz", "foo..baz", false),
            ("*", "anything", true),
            ("foo.*", "foo.*", true),
            ("*", "*", true),
            ("foo", "foo.bar", false),
            ("", "", false),
        ] {
            assert_eq!(ScopeStrategy::Wildcard.covers([allowed], scope), covers, "{allowed} {scope}");
        }
        assert!(!ScopeStrategy::Exact.covers(["foo.*"], "foo.bar"));
    }

    #[test]
    fn audiences() {
        let registered = ["https://api.example.com".to_owned(), "urn:x".to_owned(), "https://b.example/v1".to_owned()];
        for (asked, ok) in [
            ("https://api.example.com", true),
            ("https://api.example.com/v1", true),
            ("https://api.example.com:444/", false),
            ("http://api.example.com/", false),
            ("https://api.example.com.evil/", false),
            ("https://u@api.example.com/", false),
            ("https://b.example/v1/x", true),
            ("https://b.example/v1/../v2", false),
            ("https://b.example/v1/\t%2e%2e", false),
            ("https://b.example/v1/x\n", false),
            ("https:\\\\b.example\\v1\\x", false),
            ("https://b.example/v10", false),
            ("urn:x", true),
            ("urn:x:y", false),
        ] {
            assert_eq!(audience_allowed(&registered, asked), ok, "{asked}");
        }
        assert_eq!(parse_audience(["a b", "b", ""]), ["a", "b"]);
    }
}
