//! Calls to other servers: no redirects, no proxy from the environment, bounded in time and size.
//!
//! Addresses that a client registered (`jwks_uri`) may be kept away from private networks: literal addresses are
//! checked here, names when they resolve, so that what was checked is what is dialled.

use super::ApiError;
use crate::telemetry::traces;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Request, RequestBuilder, Response};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tracing::{Instrument, Span, debug_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use url::{Host, Url};

/// All of one call.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How far calls may reach.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Refuse private, loopback and link-local addresses.
    pub public_only: bool,
    /// URLs that are allowed all the same, byte for byte.
    pub exceptions: Vec<String>,
}

/// An HTTP client for addresses that others chose.
pub struct Outbound {
    open: reqwest::Client,
    guarded: reqwest::Client,
    reach: Reach,
}

struct Guard;

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|a| is_public(a.ip())).collect();
            if public.is_empty() {
                return Err("the address is not a public one".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is reachable from anywhere; IPv4 inside of IPv6 is looked at as IPv4.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let special = matches!(
                (a, b),
                (0 | 10 | 127, _) | (100, 64..=127) | (169, 254) | (172, 16..=31) | (192, 168) | (198, 18 | 19)
            );
            !(special || a >= 224 || (a, b, c) == (192, 0, 0))
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return is_public(IpAddr::V4(v4));
            }
            let [first, second, ..] = v6.segments();
            // 2000::/3 is all that is routed; inside of it 2002::/16 (6to4) and 2001::/32 (Teredo) carry IPv4.
            (0x2000..0x4000).contains(&first) && first != 0x2002 && (first, second) != (0x2001, 0)
        }
    }
}

impl Outbound {
    /// Builds both clients once.
    ///
    /// # Errors
    /// [`ApiError::Internal`] when TLS cannot be set up.
    pub fn new(reach: Reach) -> Result<Self, ApiError> {
        let builder = || {
            reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(2))
                .timeout(TIMEOUT)
                .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
        };
        let internal = |e: reqwest::Error| ApiError::Internal(e.to_string());
        let guarded = builder().dns_resolver(Guard).build().map_err(internal)?;
        Ok(Self { open: builder().build().map_err(internal)?, guarded, reach })
    }

    /// The client for addresses that the operator configured.
    pub const fn operator(&self) -> &reqwest::Client {
        &self.open
    }

    /// The client for an address that somebody registered.
    ///
    /// # Errors
    /// A text for the log: no address for us.
    pub fn client_for(&self, address: &str) -> Result<&reqwest::Client, String> {
        let url = Url::parse(address).map_err(|e| e.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("only http and https are called".to_owned());
        }
        let guard = self.reach.public_only && !self.reach.exceptions.iter().any(|e| e == address);
        if guard && !literal_is_public(&url) {
            return Err("the address is not a public one".to_owned());
        }
        Ok(if guard { &self.guarded } else { &self.open })
    }

    /// Fetches what a client registered; at most `limit` bytes.
    ///
    /// # Errors
    /// A text for the log. It never tells a caller whether a port is open.
    pub async fn fetch(&self, address: &str, limit: usize) -> Result<Vec<u8>, String> {
        let mut response = send(self.client_for(address)?.get(address), Whose::Client, 0).await.map_err(fault)?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if body.len() + chunk.len() > limit {
                return Err(format!("longer than {limit} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Who chose an address: a caller's baggage is for the operator's own servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The operator.
    Operator,
    /// A client.
    Client,
}

/// Sends a request with the caller's trace in its headers, in a span of its own if somebody will see it. `tried` says
/// how often it was sent before.
///
/// # Errors
/// The client's own.
pub async fn send(request: RequestBuilder, whose: Whose, tried: u32) -> reqwest::Result<Response> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let span = call_span(&request, tried);
    // Who keeps no span of it hands on the trace all the same (W3C Trace Context §3.4).
    let from = if span.is_none() { Span::current() } else { span.clone() };
    traces::inject(&from.context(), whose == Whose::Operator, |name, value| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            request.headers_mut().insert(name, value);
        }
    });
    let outcome = client.execute(request).instrument(span.clone()).await;
    if !span.is_none() {
        ended(&span, &outcome);
    }
    outcome
}

/// Named after the method alone, and without the URL: a hook's may be a secret from its path on.
fn call_span(request: &Request, tried: u32) -> Span {
    if !traces::inside_a_span() {
        return Span::none();
    }
    let (method, url) = (request.method().as_str(), request.url());
    let span = debug_span!(
        "http.client",
        otel.name = method,
        otel.kind = "client",
        http.request.method = method,
        url.scheme = url.scheme(),
        server.address = url.host_str(),
    );
    if let Some(port) = url.port_or_known_default() {
        span.set_attribute("server.port", i64::from(port));
    }
    if tried > 0 {
        span.set_attribute("http.request.resend_count", i64::from(tried));
    }
    span
}

fn ended(span: &Span, outcome: &reqwest::Result<Response>) {
    match outcome {
        Ok(response) => {
            let status = response.status();
            span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                traces::fail(span, status.as_str().to_owned());
            }
        }
        Err(e) if e.is_timeout() => traces::fail(span, "timeout"),
        Err(e) if e.is_connect() => traces::fail(span, "connect"),
        Err(_) => traces::fail(span, "request"),
    }
}

/// What went wrong, for the log. Not the address: its query or its user may be a secret.
pub fn fault(e: reqwest::Error) -> String {
    let e = e.without_url();
    match std::error::Error::source(&e) {
        Some(cause) => format!("{e}: {cause}"),
        None => e.to_string(),
    }
}

/// A literal address goes past the resolver, so it is looked at here.
fn literal_is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(v4)) => is_public(IpAddr::V4(v4)),
        Some(Host::Ipv6(v6)) => is_public(IpAddr::V6(v6)),
        Some(Host::Domain(_)) => true,
        None => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn g02_private_addresses_in_every_spelling() {
        for private in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:10.0.0.1]/",
            "http://169.254.169.254/",
            "http://[::1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[fd00::1]/",
            "http://[2002:7f00:1::]/",
        ] {
            assert!(!literal_is_public(&Url::parse(private).unwrap()), "{private}");
        }
        assert!(literal_is_public(&Url::parse("http://1.1.1.1/").unwrap()));
        assert!(literal_is_public(&Url::parse("http://[2606:4700::1]/").unwrap()));
    }

    #[actix_web::test]
    async fn a_fault_does_not_tell_the_address() {
        let outbound = Outbound::new(Reach::default()).unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let why = outbound.fetch(&format!("http://user:hush@{closed}/?key=hush"), 10).await.unwrap_err();
        assert!(!why.contains("hush"), "{why}");
    }
}
