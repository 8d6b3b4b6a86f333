//! The cookies of one browser at one origin.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::SET_COOKIE;

/// Names and values. Attributes are not looked at, but for those that delete: a flow lasts milliseconds and stays at
/// one origin.
#[derive(Clone, Default)]
pub struct Jar(Vec<(String, String)>);

impl Jar {
    /// Takes what an answer sets.
    pub fn take(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() && !parts.any(deletes) {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The `Cookie` header, if there is anything to say.
    pub fn header(&self) -> Option<Arc<str>> {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; ").into())
    }
}

fn deletes(attribute: &str) -> bool {
    let Some((name, value)) = attribute.split_once('=') else { return false };
    name.eq_ignore_ascii_case("max-age") && value.parse().is_ok_and(|seconds: i64| seconds <= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(jar: &mut Jar, line: &'static str) {
        let headers = HeaderMap::from_iter([(SET_COOKIE, hyper::header::HeaderValue::from_static(line))]);
        jar.take(&headers);
    }

    #[test]
    fn keeps_the_newest_and_forgets_the_deleted() {
        let mut jar = Jar::default();
        assert_eq!(jar.header(), None);
        set(&mut jar, "a=1; Path=/; HttpOnly");
        set(&mut jar, "b=x=y; Max-Age=1800");
        set(&mut jar, "a=2");
        assert_eq!(jar.header().as_deref(), Some("b=x=y; a=2"));
        set(&mut jar, "b=gone; Path=/; Max-Age=0");
        set(&mut jar, "a=; Path=/");
        assert_eq!(jar.header(), None);
    }
}
