//! The one line per request and the span around it. The listener's middleware fills both; nothing here knows actix.
//! Invariant: no query string, no header but the user agent, no control character.

use std::borrow::Cow;
use std::cell::Cell;
use std::time::Duration;

use opentelemetry::trace::TraceContextExt as _;
use tracing::field::Empty;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use super::labels::Listener;
use super::traces;

/// Where the line of a request is told apart from others.
pub(super) const TARGET: &str = module_path!();
/// Longest request id that is taken over from a caller, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// Longest foreign text in a line, in characters.
const TEXT_MAX: usize = 1024;

/// One finished request, as it is logged.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// The request method as sent.
    pub method: &'a str,
    /// The route pattern, or a constant for requests that matched none.
    pub route: &'a str,
    /// The path; anything from a `?` on is cut.
    pub path: &'a str,
    /// Status code of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub size: u64,
    /// From the request line to the last byte of the answer.
    pub took: Duration,
    /// Our id of the request, also sent to the caller.
    pub request_id: &'a str,
    /// W3C trace id, when there is one.
    pub trace_id: Option<&'a str>,
    /// Address of the caller as the proxy settings see it.
    pub remote: &'a str,
    /// `User-Agent` as sent.
    pub user_agent: Option<&'a str>,
    /// The listener that served it.
    pub listener: Listener,
}

impl RequestLine<'_> {
    /// Whether anybody reads it.
    pub fn is_wanted() -> bool {
        tracing::enabled!(Level::INFO)
    }

    /// Writes the line at level `info`. `took` is in nanoseconds, as Hydra's is.
    pub fn log(&self) {
        let path = self.path.split('?').next().unwrap_or_default();
        tracing::info!(
            http_request.method = &*printable(self.method),
            http_request.path = &*printable(path),
            http_request.route = self.route,
            http_request.remote = &*printable(self.remote),
            http_request.user_agent = &*printable(self.user_agent.unwrap_or_default()),
            http_response.status = self.status,
            http_response.size = self.size,
            http_response.took = u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX),
            request_id = self.request_id,
            trace_id = self.trace_id.unwrap_or_default(),
            listener = self.listener.as_str(),
            "completed handling request"
        );
    }
}

/// Replaces control characters and cuts what is too long: a line stays one line and a terminal stays sane.
pub fn printable(text: &str) -> Cow<'_, str> {
    let clean = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
    if text.len() <= TEXT_MAX && text.chars().all(clean) {
        return Cow::Borrowed(text);
    }
    text.chars().take(TEXT_MAX).map(|c| if clean(c) { c } else { '\u{fffd}' }).collect::<String>().into()
}

/// Names for requests: unique, and no count of them. Each worker has its own.
pub struct RequestIds {
    worker: u64,
    mask: u64,
    next: Cell<u64>,
}

impl RequestIds {
    /// Names that begin anywhere.
    pub fn new() -> Self {
        let ((worker, mask), next) = (Uuid::new_v4().as_u64_pair(), Cell::new(0));
        Self { worker, mask, next }
    }

    /// The next name.
    pub fn next(&self) -> String {
        // An odd number: no two counts have the same product.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let count = self.next.replace(self.next.get().wrapping_add(1));
        Uuid::from_u64_pair(self.worker, count.wrapping_mul(SPREAD) ^ self.mask).to_string()
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// A caller's `X-Request-Id`, if it is safe to log and to echo: 1 to 128 characters of `[A-Za-z0-9._-]`.
#[must_use]
pub fn accept_request_id(header: Option<&str>) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    header.filter(|id| (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(allowed)).map(str::to_owned)
}

/// The span of a request, child of the caller's trace when `parent` carries one (see [`traces::remote_context`]).
/// Routes that must not be traced (health, metrics) simply open none.
#[must_use]
pub fn request_span(method: &str, request_id: &str, parent: opentelemetry::Context) -> Span {
    let caller = traces::trace_id(&parent);
    if !tracing::span_enabled!(Level::DEBUG) {
        // Traces are off: only what its lines need.
        let span = tracing::error_span!("request", request_id, trace_id = Empty);
        if let Some(id) = caller {
            span.record("trace_id", id);
        }
        return span;
    }
    let method = super::labels::Method::from_name(method).as_str();
    // Level error: no log level may remove the span, or the lines inside would lose their ids.
    let span = tracing::error_span!(
        "request",
        otel.name = method,
        otel.kind = "server",
        http.request.method = method,
        request_id,
        trace_id = Empty,
    );
    // Fails only when traces are off; the caller's id is still worth a place in the lines.
    let _ = span.set_parent(parent);
    if let Some(id) = traces::trace_id(&span.context()).or(caller) {
        span.record("trace_id", id);
    }
    span
}

/// What a request's span says of where it came from and how it ended.
#[derive(Clone, Copy, Debug)]
pub struct SpanFacts<'a> {
    /// The request method as sent.
    pub method: &'a str,
    /// The route pattern: what a caller wrote into the path names no span.
    pub route: &'a str,
    /// The path of a route that is served; that of others may be anything.
    pub path: Option<&'a str>,
    /// `http` or `https`, as the listener took it.
    pub scheme: &'static str,
    /// The `Host` header.
    pub host: &'a str,
    /// Address of the caller, without its port.
    pub client: Option<std::net::IpAddr>,
    /// `User-Agent` as sent.
    pub user_agent: Option<&'a str>,
    /// Status code of the answer.
    pub status: u16,
}

/// Completes the span of a request, under the names of OpenTelemetry's conventions for HTTP servers. The query is left
/// out: codes and challenges travel in it.
pub fn finish_span(span: &Span, of: &SpanFacts<'_>) {
    if !tracing::span_enabled!(Level::DEBUG) || !traces::is_seen(span) {
        return;
    }
    let context = span.context();
    if context.has_active_span() {
        // A field `otel.name` counts only until the span has begun.
        let method = super::labels::Method::from_name(of.method).as_str();
        context.span().update_name(format!("{method} {}", of.route));
    }
    let (name, port) = host_and_port(of.host);
    let set = |key: &'static str, value: Option<String>| {
        if let Some(value) = value {
            span.set_attribute(key, value);
        }
    };
    set("http.route", Some(of.route.to_owned()));
    set("url.path", of.path.map(|path| printable(path).into_owned()));
    set("url.scheme", Some(of.scheme.to_owned()));
    set("server.address", Some(printable(name).into_owned()).filter(|name| !name.is_empty()));
    set("client.address", of.client.map(|address| address.to_string()));
    set("user_agent.original", of.user_agent.map(|agent| printable(agent).into_owned()));
    if let Some(port) = port {
        span.set_attribute("server.port", i64::from(port));
    }
    span.set_attribute("http.response.status_code", i64::from(of.status));
    if of.status >= 500 {
        traces::fail(span, of.status.to_string());
    }
}

/// The parts of a `Host` header (RFC 9110 §7.2).
fn host_and_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_short_and_plain() {
        for id in ["a", "0f.A_-z", &"x".repeat(128)] {
            assert_eq!(accept_request_id(Some(id)).as_deref(), Some(id));
        }
        for id in ["", " ", "a b", "a\n", "ä", "a;b", "a/b", &"x".repeat(129)] {
            assert_eq!(accept_request_id(Some(id)), None, "{id:?}");
        }
        assert_eq!(accept_request_id(None), None);
    }

    #[test]
    fn names_differ_and_do_not_count() {
        let ids = RequestIds::new();
        let all: std::collections::HashSet<String> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|id| accept_request_id(Some(id)).is_some()));
    }

    #[test]
    fn a_host_header_has_a_name_and_perhaps_a_port() {
        for (host, expected) in [
            ("auth.example.com", ("auth.example.com", None)),
            ("auth.example.com:4444", ("auth.example.com", Some(4444))),
            ("[::1]:4444", ("[::1]", Some(4444))),
            ("[::1]", ("[::1]", None)),
            ("", ("", None)),
        ] {
            assert_eq!(host_and_port(host), expected);
        }
    }

    #[test]
    fn control_characters_do_not_reach_a_line() {
        assert_eq!(printable("curl/8"), "curl/8");
        assert_eq!(printable("a\nb\u{1b}[31m\u{202e}"), "a\u{fffd}b\u{fffd}[31m\u{fffd}");
        assert_eq!(printable(&"x".repeat(5000)).len(), TEXT_MAX);
    }
}
