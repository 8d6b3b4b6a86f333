//! The rules on addresses. A URI is kept as it was written; parsing serves the checks alone.

use super::{MetadataError, MetadataRules};
use crate::domain::client::Client;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Schemes that make a browser run or show something instead of going somewhere.
const DANGEROUS: [&str; 5] = ["javascript", "data", "vbscript", "file", "blob"];

/// Parses an absolute URI of RFC 3986 characters. The parser repairs much that is broken, so what it would repair is
/// refused first: two readers of the repaired text could disagree.
fn absolute(text: &str) -> Result<Url, &'static str> {
    if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\')) {
        return Err("may contain only the ASCII characters that a URI can have; percent-encode the others");
    }
    let url = Url::parse(text).map_err(|_| "is not a valid absolute URI")?;
    if DANGEROUS.contains(&url.scheme()) {
        return Err("has a scheme that is not allowed");
    }
    let authority =
        text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://") && !rest.starts_with(":///"));
    if is_web(&url) && !authority {
        return Err("is not a valid absolute URI");
    }
    Ok(url)
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// An absolute http or https URI.
fn web(field: &str, text: &str) -> Result<Url, MetadataError> {
    let url = absolute(text).map_err(|what| MetadataError::field(format!("Field {field} {what}.")))?;
    if !is_web(&url) {
        return Err(MetadataError::field(format!("Field {field} must be a http or https URL.")));
    }
    Ok(url)
}

/// Addresses shown to people as links and pictures.
pub(super) fn pages(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    let pages = [
        ("policy_uri", &client.policy_uri),
        ("tos_uri", &client.tos_uri),
        ("logo_uri", &client.logo_uri),
        ("client_uri", &client.client_uri),
        ("frontchannel_logout_uri", &client.frontchannel_logout_uri),
    ];
    pages.iter().filter(|(_, text)| !text.is_empty()).try_for_each(|(field, text)| web(field, text).map(drop))
}

/// Addresses that this server itself calls.
pub(super) fn called(client: &mut Client, rules: &MetadataRules) -> Result<(), MetadataError> {
    let single = [
        ("jwks_uri", &client.jwks_uri),
        ("backchannel_logout_uri", &client.backchannel_logout_uri),
        ("sector_identifier_uri", &client.sector_identifier_uri),
    ];
    let single = single.into_iter().filter(|(_, text)| !text.is_empty());
    let many = client.request_uris.iter().map(|text| ("request_uris", text));
    for (field, text) in single.chain(many) {
        let url = web(field, text)?;
        if rules.disallow_private_ip_ranges && url.host().is_none_or(is_private_host) {
            return Err(MetadataError::field(format!("Field {field} must not name a host in a private network.")));
        }
    }
    Ok(())
}

/// Whether a literal host lies in a network of this machine or its site. Names are judged when they are resolved.
fn is_private_host(host: Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(ip) => is_private(IpAddr::V4(ip)),
        Host::Ipv6(ip) => is_private(IpAddr::V6(ip)),
    }
}

/// Everything of the IANA special-purpose registries that is not reachable over the internet.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => embedded_v4(ip).map_or_else(|| is_private_v6(ip), is_private_v4),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || matches!((a, b, c), (0 | 224.., _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _))
}

const fn is_private_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        || first & 0xffc0 == 0xfec0
        || (first == 0x2001 && (second == 0xdb8 || second == 0))
}

/// The IPv4 address that a mapped, compatible, translated (RFC 6052) or 6to4 address stands for.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(four(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(four(high, low)),
        [0x2002, high, low, ..] => Some(four(high, low)),
        _ => None,
    }
}

/// RFC 6454: a scheme, a host, a port.
pub(super) fn cors_origins(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    client.allowed_cors_origins.iter().try_for_each(|origin| cors_origin(origin))
}

fn cors_origin(origin: &str) -> Result<(), MetadataError> {
    let url = web("allowed_cors_origins", origin)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(MetadataError::field(format!("Origin URL {origin} must not have a user or a password.")));
    }
    let rest = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    if rest.trim_end_matches('/').contains(['/', '?', '#']) {
        return Err(MetadataError::field(format!(
            "Origin URL {origin} must have an empty path, query, and fragment but one of the parts is not empty."
        )));
    }
    Ok(())
}

/// OpenID Connect Registration §5 asks for https.
pub(super) fn sector_identifier(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    let uri = &client.sector_identifier_uri;
    if !uri.is_empty() && web("sector_identifier_uri", uri)?.scheme() != "https" {
        return Err(MetadataError::field("Field sector_identifier_uri must be a https URL."));
    }
    Ok(())
}

/// RFC 6749 §3.1.2: absolute and without a fragment. Private-use schemes of native apps are fine (RFC 8252 §7.1).
pub(super) fn redirects(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    for uri in &client.redirect_uris {
        if uri.contains('#') {
            return Err(MetadataError::redirect("Redirect URIs must not contain fragments (#)."));
        }
        absolute(uri).map_err(|what| MetadataError::redirect(format!("Redirect URI '{uri}' {what}.")))?;
    }
    Ok(())
}

/// A logged-out browser may only go where a redirect URI could have sent it.
pub(super) fn post_logout(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    let redirects: Vec<Url> = client.redirect_uris.iter().filter_map(|uri| absolute(uri).ok()).collect();
    for uri in &client.post_logout_redirect_uris {
        let url =
            absolute(uri).map_err(|what| MetadataError::field(format!("post_logout_redirect_uri '{uri}' {what}.")))?;
        if !redirects.iter().any(|one| same_origin(one, &url)) {
            return Err(MetadataError::field(format!(
                "post_logout_redirect_uri '{uri}' must match the domain, port, scheme of at least one of the registered redirect URIs but did not"
            )));
        }
    }
    Ok(())
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}
