//! Addresses that a page leads to: which are safe, and how a policy names them.

use url::{Host, Url};

/// Schemes that run or read something in the browser instead of going somewhere.
const UNSAFE: [&str; 9] =
    ["javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "chrome"];

/// An absolute address that a page may lead to. It is written into the page as it was given: clients compare it byte
/// for byte.
pub struct Target {
    text: String,
    url: Url,
}

impl Target {
    /// Takes an address; `None` for one that is relative or of a scheme that goes nowhere (security case A05). The
    /// parser is the one of browsers (WHATWG URL), so that both see the same scheme.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let target = Self { text: text.to_owned(), url };
        (!UNSAFE.contains(&target.url.scheme()) && (target.url.host().is_some() || !target.is_web())).then_some(target)
    }

    /// The address, byte for byte.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is an address of the web.
    pub fn is_web(&self) -> bool {
        matches!(self.url.scheme(), "http" | "https")
    }

    /// Its host, for people; the scheme where there is no host.
    pub fn place(&self) -> &str {
        self.url.host_str().unwrap_or_else(|| self.url.scheme())
    }

    /// The CSP source of its origin (CSP Level 3 §2.3.1): `https://host:port`, or `scheme:` for a private-use scheme. A
    /// host that the grammar has no words for, such as an IPv6 address, is named by its scheme.
    pub fn source(&self) -> String {
        let scheme = self.url.scheme();
        let named = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        match self.url.host() {
            Some(Host::Domain(_) | Host::Ipv4(_))
                if matches!(scheme, "http" | "https") && self.url.host_str().is_some_and(named) =>
            {
                self.url.origin().ascii_serialization()
            }
            _ => format!("{scheme}:"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a05_a_page_leads_to_no_address_that_runs_or_reads() {
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\tscript:alert(1)",
            " javascript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://a.example/1",
            "/relative",
            "//a.example/",
            "",
            "https://",
        ] {
            assert!(Target::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_policy_names_the_origin_and_nothing_that_breaks_out_of_it() {
        for (text, source) in [
            ("https://rp.example/cb?a=b", "https://rp.example"),
            ("https://user:pass@rp.example:8443/cb", "https://rp.example:8443"),
            ("http://127.0.0.1:9010/callback", "http://127.0.0.1:9010"),
            ("http://[::1]:9010/callback", "http:"),
            ("https://bücher.example/", "https://xn--bcher-kva.example"),
            ("https://a;sandbox/", "https:"),
            ("https://a,b/", "https:"),
            ("https://*/", "https:"),
            ("com.example.app:/cb", "com.example.app:"),
            ("com.example.app://host;x/cb", "com.example.app:"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.source().as_str(), target.as_str()), (source, text));
        }
    }
}
