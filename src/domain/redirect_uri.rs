//! Which redirect URI an answer goes to (RFC 6749 §3.1.2, RFC 8252 §7.3, RFC 9700 §2.1).

use std::net::IpAddr;
use url::Url;

/// Whether a requested redirect URI is one of those registered: the same text, byte for byte; or, for a native app on
/// the loopback interface, the same but for the port.
pub fn is_registered(registered: &[String], asked: &str) -> bool {
    registered.iter().any(|r| r == asked || same_loopback(r, asked))
}

/// `http`, a loopback address in its usual spelling, no userinfo; scheme, host, path and query equal.
fn same_loopback(registered: &str, asked: &str) -> bool {
    let (Some(r), Some(a)) = (loopback(registered), loopback(asked)) else { return false };
    r == a
}

/// Host, and all that follows the port.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map(|(host, port)| (host, port.is_empty() || is_port(port)))?,
        None => match authority.split_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().is_ok()),
            None => (authority, true),
        },
    };
    let ip: IpAddr = host.0.parse().ok()?;
    // A text that the address would not be printed as is another name for it (127.1, ::0001).
    let usual = ip.is_loopback() && ip.to_string() == host.0 && host.1;
    let plain = tail.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') && !tail.contains('#');
    (usual && plain).then_some((host.0, tail))
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok())
}

/// Whether an answer may go there in the open: anything but plain `http` to another machine. Hydra's rule, which it
/// checks only when the code is issued.
pub fn is_safe(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    if url.scheme() != "http" {
        return true;
    }
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Whether only the client itself can receive there: `https`, or this very machine.
pub fn is_vouched(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.scheme() == "https" || (url.scheme() == "http" && is_safe(uri)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(registered: &str, asked: &str) -> bool {
        is_registered(&[registered.to_owned()], asked)
    }

    #[test]
    fn a02_a04_a09_only_the_registered_text_matches() {
        let uri = "https://app.example/cb?x=1";
        assert!(allowed(uri, uri));
        for near in [
            "https://app.example/cb",
            "https://app.example/cb?x=1&y=2",
            "https://app.example/cb/?x=1",
            "HTTPS://app.example/cb?x=1",
            "https://APP.example/cb?x=1",
            "https://app.example:443/cb?x=1",
            "https://app.example/a/../cb?x=1",
            "https://app.example/%2e%2e/cb?x=1",
            "https://app.example/cb;p?x=1",
            "https://app.example/cb?x=1#f",
            "https://app.example@evil.example/cb?x=1",
            "https://app.example\\@evil.example/cb?x=1",
            "//app.example/cb?x=1",
            "https://app.example/cb?x=1\t",
            "https://app.example/cb?x=1%00",
            "https://xn--pp-tja.example/cb?x=1",
        ] {
            assert!(!allowed(uri, near), "{near}");
        }
        assert!(!allowed("https://*.example/cb", "https://a.example/cb"));
        assert!(!allowed("https://a.example/.*", "https://a.example/b"));
    }

    #[test]
    fn a06_a07_a_native_app_chooses_its_port() {
        for (registered, asked) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb"),
            ("http://127.0.0.1:1/cb?a=b", "http://127.0.0.1:65535/cb?a=b"),
            ("http://[::1]/cb", "http://[::1]:80/cb"),
            ("http://127.0.0.2:3/", "http://127.0.0.2/"),
        ] {
            assert!(allowed(registered, asked), "{asked}");
        }
        for (registered, asked) in [
            ("http://127.0.0.1/cb", "http://localhost:9/cb"),
            ("http://localhost/cb", "http://localhost:9/cb"),
            ("http://0.0.0.0/cb", "http://0.0.0.0:9/cb"),
            ("http://127.0.0.1/cb", "http://127.1:9/cb"),
            ("http://127.0.0.1/cb", "http://2130706433:9/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.2:9/cb"),
            ("https://127.0.0.1/cb", "http://127.0.0.1:9/cb"),
            ("https://127.0.0.1/cb", "https://127.0.0.1:9/cb"),
            ("http://127.0.0.1/cb", "http://u:p@127.0.0.1:9/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb?x=1"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb/"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9\\@evil/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb#x"),
            ("http://[::1]/cb", "http://[::ffff:127.0.0.1]:9/cb"),
            ("http://[::1]/cb", "http://[::0001]:9/cb"),
            ("http://[::1]/cb", "http://[::1]x/cb"),
        ] {
            assert!(!allowed(registered, asked), "{registered} {asked}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for safe in
            ["https://a.example/", "http://localhost:1/", "http://a.localhost/", "http://127.0.0.1/", "com.a:/b"]
        {
            assert!(is_safe(safe), "{safe}");
        }
        for not in ["http://a.example/", "http://localhost.example/", "http://10.0.0.1/", "no uri"] {
            assert!(!is_safe(not), "{not}");
        }
    }
}
