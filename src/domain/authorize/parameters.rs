//! The parameters of an authorization request, as they came: in order, repeated ones too.

use crate::domain::form;

/// Parameters that may come more than once.
const REPEATABLE: [&str; 2] = ["audience", "resource"];
/// Most parameters.
const MOST: usize = 256;

/// Names and values, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

/// A query that cannot be read: a broken percent-encoding, invalid UTF-8, a NUL, or far too many parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The query has a broken percent-encoding, invalid UTF-8, a NUL or too many parameters in it.")]
pub struct Unreadable;

impl Parameters {
    /// Reads a query or a form.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((form::decode(name)?, form::decode(value)?))
        });
        let all: Vec<_> = pairs.collect::<Option<_>>().ok_or(Unreadable)?;
        if all.len() > MOST { Err(Unreadable) } else { Ok(Self(all)) }
    }

    /// The value of a parameter; one without a value counts as omitted (RFC 6749 §3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// The value of a parameter; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// All values of a parameter that may be repeated.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// How often a parameter comes.
    pub fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(n, _)| n == name).count()
    }

    /// The first parameter that comes more than once and must not (RFC 6749 §3.1).
    pub fn repeated(&self) -> Option<&str> {
        let more = |name: &str| self.count(name) > 1 && !REPEATABLE.contains(&name);
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| more(name))
    }

    /// Adds a parameter.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Puts one value in the place of all that the parameter had.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(n, _)| n != name);
        self.push(name, value);
    }

    /// Appends all of `more`.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The same without some parameters.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(n, _)| !names.contains(&n.as_str())).cloned().collect())
    }

    /// As a query, in the order they came in.
    pub fn as_sent(&self) -> String {
        form::encode(self.0.iter().map(|(name, value)| (name, value)))
    }

    /// As a query, sorted by name: the form that is hashed and sent back, whatever order they came in.
    pub fn to_query(&self) -> String {
        let mut sorted: Vec<_> = self.0.iter().map(|(name, value)| (name, value)).collect();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        form::encode(sorted)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repeated_and_empty_ones() {
        let p = Parameters::parse("a=1&audience=x&audience=y&b=&b=2&a=1").unwrap();
        assert_eq!((p.get("b"), p.get("c"), p.text("c")), (Some("2"), None, ""));
        assert_eq!(p.all("audience").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(p.repeated(), Some("a"));
        assert_eq!(p.without(&["a", "b"]).repeated(), None);
        assert_eq!(p.without(&["a"]).to_query(), "audience=x&audience=y&b=&b=2");
        for bad in ["a=%zz", "a=%c3%28", "a=%00"] {
            assert_eq!(Parameters::parse(bad), Err(Unreadable), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_query_reads_back(pairs in proptest::collection::vec(("[a-z]{1,4}", "[^\0]{0,12}"), 0..8)) {
            let mut p = Parameters::default();
            pairs.iter().for_each(|(n, v)| p.push(n, v));
            let query = p.to_query();
            prop_assert_eq!(Parameters::parse(&query).unwrap().to_query(), query);
        }
    }
}
