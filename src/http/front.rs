//! What every request passes, outermost first: the log line and the metrics, the panic net, the path in one spelling,
//! the TLS rule, cross-origin rules, and the headers that every answer has.

use super::client_auth::Asking;
use super::cors::{self, Cors};
use super::{ApiError, App, admission, pages, reply};
use crate::actors::client_registry::Clients;
use crate::store::deadline;
use crate::telemetry::audit::{self, AuditEvent, CallFacts, Facts};
use crate::telemetry::labels::{self, Listener};
use crate::telemetry::metrics::HttpSample;
use crate::telemetry::request_log::{
    RequestIds, RequestLine, SpanFacts, accept_request_id, finish_span, printable, request_span,
};
use crate::telemetry::traces;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{
    CACHE_CONTROL, CONNECTION, HOST, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, USER_AGENT,
};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, ResponseError, web};
use futures_util::FutureExt;
use ipnet::IpNet;
use std::borrow::Cow;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// One listener, as its requests need to know it.
#[derive(Clone)]
pub struct Front {
    /// Which one.
    pub listener: Listener,
    /// Log requests for health too.
    pub log_health: bool,
    /// Cross-origin rules.
    pub cors: Rc<Cors>,
    /// With TLS on: the networks of proxies that may end it for us; `None` without TLS.
    pub terminated_by: Option<Rc<[IpNet]>>,
    /// The patterns of its routes.
    pub routes: Rc<HashSet<&'static str>>,
    /// Names requests that bring no name.
    pub ids: Rc<RequestIds>,
}

impl Front {
    /// The pattern of the route that answered. Most patterns are paths, which is quickly seen.
    fn route(&self, response: &ServiceResponse<BoxBody>) -> &'static str {
        let exact = self.routes.get(response.request().path()).copied();
        let of_pattern = || self.routes.get(response.request().match_pattern()?.as_str()).copied();
        exact.or_else(of_pattern).unwrap_or(UNMATCHED)
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NO_CACHE: HeaderValue = HeaderValue::from_static("private, no-cache, no-store, must-revalidate");
/// RFC 6797: a year of https alone. Not for subdomains, which may be somebody else's.
const TLS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Stands for the route of a request that matched none.
const UNMATCHED: &str = "unmatched";
/// Introspections have an audit event of their own, which is off unless asked for: gateways ask all the time.
const INTROSPECT: &str = "/admin/oauth2/introspect";
/// Longest target of a request, in bytes.
const TARGET: usize = 16 * 1024;

/// The middleware.
///
/// # Errors
/// None of its own; every failure becomes an answer.
pub async fn pass(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some((app, front)) = request.app_data::<web::Data<App>>().cloned().zip(request.app_data::<Front>().cloned())
    else {
        return Ok(request.into_response(ApiError::Internal("listener without its app".to_owned()).error_response()));
    };
    let seen = Seen::of(&request, &front);
    let active = app.metrics.active_request(front.listener);
    let span = if seen.is_health() {
        tracing::Span::none()
    } else {
        request_span(seen.method.as_str(), &seen.id, seen.caller.clone())
    };
    let outcome = serve(request, next, &front, app.rules.deadline).instrument(span.clone()).await;
    let told = match outcome {
        Some(mut response) => {
            finish(response.response_mut(), &seen, &app, &front);
            let route = front.route(&response);
            span.in_scope(|| seen.tell(route, response.response(), &app, &front));
            Ok(response)
        }
        None => {
            app.metrics.panicked();
            let mut answer = ApiError::Internal("a handler panicked".to_owned()).error_response();
            finish(&mut answer, &seen, &app, &front);
            span.in_scope(|| seen.tell(UNMATCHED, &answer, &app, &front));
            Err(InternalError::from_response("a handler panicked", answer).into())
        }
    };
    drop(active);
    told
}

/// The answer; `None` when the handler panicked, whose request is lost with it.
async fn serve(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    front: &Front,
    span: Duration,
) -> Option<ServiceResponse<BoxBody>> {
    if let Some(refusal) = refuse(&mut request, front) {
        return Some(request.into_response(refusal));
    }
    let origin = cors::origin(request.headers()).cloned().filter(|_| front.cors.enabled);
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key("access-control-request-method");
    if let (Some(origin), true) = (&origin, preflight) {
        let mut answer = HttpResponse::NoContent().finish();
        let known = origin.to_str().is_ok_and(|o| front.cors.allows(o));
        // Which client will come is not known yet; the request itself is judged by its client's origins.
        if (known || front.listener == Listener::Public) && origin != "null" {
            front.cors.allow(answer.headers_mut(), origin, true);
        }
        return Some(request.into_response(answer));
    }
    if !admission::sends_a_body(request.method(), request.headers())
        && let Err(busy) = admission::enter(request.request()).await
    {
        let answer = match front.listener {
            Listener::Public if admission::is_for_a_person(request.path()) => busy.page(),
            Listener::Public | Listener::Gateway => busy.oauth_response(false, false),
            Listener::Admin | Listener::Metrics => busy.error_response(),
        };
        return Some(request.into_response(answer));
    }
    let work = deadline::within(span, next.call(request));
    let mut response = match AssertUnwindSafe(work).catch_unwind().await.ok()? {
        Ok(response) => response.map_into_boxed_body(),
        // Only extractors of the framework itself end here, and none is mounted on this listener's app.
        Err(error) => {
            tracing::error!(%error, "a request was lost on its way to a handler");
            return None;
        }
    };
    if let Some(origin) = &origin
        && origin_allowed(&response, origin, front).await
    {
        front.cors.allow(response.headers_mut(), origin, false);
    }
    Some(response)
}

/// The operator's origins, then those of the client that asked, if a handler found out who that is.
async fn origin_allowed(response: &ServiceResponse<BoxBody>, origin: &HeaderValue, front: &Front) -> bool {
    let Some(origin) = origin.to_str().ok().filter(|o| *o != "null") else { return false };
    if front.cors.allows(origin) {
        return true;
    }
    let Some(Asking(id)) = response.request().extensions().get::<Asking>().cloned() else { return false };
    let Some(clients) = response.request().app_data::<web::Data<Clients>>() else { return false };
    match clients.get(&id).await {
        Ok(Some(client)) => client.client.allowed_cors_origins.iter().any(|o| cors::origin_matches(o, origin)),
        _ => false,
    }
}

/// Answers what no handler should see; puts the path of the others into its one spelling.
fn refuse(request: &mut ServiceRequest, front: &Front) -> Option<HttpResponse> {
    if request.method() == Method::TRACE || request.method() == Method::CONNECT {
        return Some(
            HttpResponse::MethodNotAllowed()
                .insert_header(("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
                .finish(),
        );
    }
    if let Some(policy) = authz(request.uri().path(), front.listener).map(str::to_owned) {
        rewrite(request, &policy);
        return insecure(request, front);
    }
    if request.uri().path_and_query().is_some_and(|t| t.as_str().len() > TARGET) {
        return Some(HttpResponse::UriTooLong().finish());
    }
    if let Some(refusal) = insecure(request, front) {
        return Some(refusal);
    }
    // The codec remembers that it was a HEAD and leaves the body out (RFC 9110 §9.3.2).
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    match one_spelling(request.uri().path(), front.listener) {
        None if front.listener == Listener::Public => Some(pages::not_found()),
        None => Some(HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("404 page not found\n")),
        Some(path) if path == request.uri().path() => None,
        Some(path) => {
            let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
            let target = format!("{path}{query}");
            rewrite(request, &target);
            None
        }
    }
}

/// `/authz/{policy}` of a path on the gateway listener, without what the gateway has put behind it: the path of its own
/// request, however that is spelled, is not for us to judge.
fn authz(path: &str, listener: Listener) -> Option<&str> {
    let rest = path.strip_prefix("/authz").filter(|_| listener == Listener::Gateway)?;
    let policy = rest.strip_prefix('/').map(|rest| rest.split('/').next().unwrap_or_default());
    match policy {
        Some("") => Some("/authz"),
        Some(policy) => path.get(.."/authz/".len() + policy.len()),
        None => rest.is_empty().then_some(path),
    }
}

/// The path as routes know it; `None` for other spellings of a route. Escapes are for ids on the admin listener only.
fn one_spelling(path: &str, listener: Listener) -> Option<Cow<'_, str>> {
    let trimmed = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let odd = trimmed.split('/').skip(1).any(|part| (part.is_empty() && trimmed != "/") || part == "." || part == "..")
        || trimmed.contains(';');
    let path = match listener {
        Listener::Admin if !trimmed.starts_with("/admin") => format!("/admin{trimmed}").into(),
        _ => Cow::Borrowed(trimmed),
    };
    let fixed = path.split('/').nth(2).unwrap_or_default();
    let escapes = match listener {
        Listener::Public | Listener::Gateway | Listener::Metrics => path.contains('%'),
        Listener::Admin => path.contains('%') && !matches!(fixed, "clients" | "keys"),
    };
    (!odd && !escapes).then_some(path)
}

fn rewrite(request: &mut ServiceRequest, target: &str) {
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = target.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// Health and metrics, and nothing else: a client or a key called `health` is no way around the log or the TLS rule.
fn is_probe(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let path = path.strip_prefix("/admin").unwrap_or(path);
    matches!(path, "/health/alive" | "/health/ready" | "/metrics/prometheus" | "/metrics")
}

/// With TLS on, a plain request must come from a trusted proxy that says it ended TLS; health and metrics may come
/// from anywhere.
fn insecure(request: &ServiceRequest, front: &Front) -> Option<HttpResponse> {
    let trusted = front.terminated_by.as_ref()?;
    let path = request.uri().path();
    if request.app_config().secure() || is_probe(path) {
        return None;
    }
    // Only who holds the connection counts: anybody can write a trusted address into X-Forwarded-For.
    let known = request.peer_addr().is_some_and(|a| trusted.iter().any(|net| net.contains(&a.ip())));
    let https = request.headers().get("x-forwarded-proto").is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"https"));
    (!(known && https)).then(|| {
        let why =
            "TLS is required: use https, or let a proxy of serve.tls.allow_termination_from set X-Forwarded-Proto";
        let mut answer = reply::json(502, &serde_json::json!({"error": "Bad Gateway", "error_description": why}));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    })
}

/// The headers that every answer has.
fn finish(response: &mut HttpResponse, seen: &Seen, app: &App, front: &Front) {
    let draining = app.rotation.is_draining();
    if draining {
        response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    let headers = response.headers_mut();
    if seen.method == "GET" && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, NO_CACHE);
    }
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    if front.listener == Listener::Public && app.rules.issuer.starts_with("https:") {
        headers.insert(STRICT_TRANSPORT_SECURITY, TLS_ALONE);
    }
    if let Ok(id) = HeaderValue::from_str(&seen.id) {
        headers.insert(REQUEST_ID, id);
    }
    if draining {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A request as it came, for the line and the metrics.
struct Seen {
    began: Instant,
    method: Method,
    path: String,
    id: String,
    remote: Option<SocketAddr>,
    agent: Option<HeaderValue>,
    host: Option<HeaderValue>,
    secure: bool,
    bytes: u64,
    /// The caller's trace, if it sent one.
    caller: opentelemetry::Context,
}

impl Seen {
    fn of(request: &ServiceRequest, front: &Front) -> Self {
        let header = |name: &HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
        Self {
            began: Instant::now(),
            method: request.method().clone(),
            path: authz(request.uri().path(), front.listener).unwrap_or_else(|| request.uri().path()).to_owned(),
            id: accept_request_id(header(&REQUEST_ID)).unwrap_or_else(|| front.ids.next()),
            remote: request.peer_addr(),
            agent: request.headers().get(USER_AGENT).cloned(),
            host: request.headers().get(HOST).cloned(),
            secure: request.app_config().secure(),
            bytes: header(&actix_web::http::header::CONTENT_LENGTH).and_then(|l| l.parse().ok()).unwrap_or_default(),
            caller: traces::remote_context(|name| {
                request.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
            }),
        }
    }

    fn is_health(&self) -> bool {
        is_probe(&self.path)
    }

    fn tell(&self, route: &'static str, response: &HttpResponse, app: &App, front: &Front) {
        let (status, took) = (response.status().as_u16(), self.began.elapsed());
        let size = match response.body().size() {
            BodySize::Sized(n) => n,
            BodySize::None | BodySize::Stream => 0,
        };
        app.metrics.observe_http(&HttpSample {
            listener: front.listener,
            method: labels::Method::from_name(self.method.as_str()),
            route,
            status,
            seconds: took.as_secs_f64(),
            request_bytes: self.bytes,
            response_bytes: size,
        });
        // Called inside of the request's span.
        let span = tracing::Span::current();
        finish_span(&span, &self.span_facts(route, status));
        if front.listener == Listener::Admin && !self.is_health() && !route.starts_with(INTROSPECT) {
            audit::tell(AuditEvent::AdminApiCall, || self.call_facts(route, status));
        }
        if (self.is_health() && !front.log_health) || !RequestLine::is_wanted() {
            return;
        }
        let own = traces::trace_id(&tracing_opentelemetry::OpenTelemetrySpanExt::context(&span));
        let trace = own.or_else(|| traces::trace_id(&self.caller));
        RequestLine {
            method: self.method.as_str(),
            route,
            path: &self.path,
            status,
            size,
            took,
            request_id: &self.id,
            trace_id: trace.as_deref(),
            remote: &self.remote.map(|a| a.to_string()).unwrap_or_default(),
            user_agent: text(self.agent.as_ref()),
            listener: front.listener,
        }
        .log();
    }

    fn span_facts(&self, route: &'static str, status: u16) -> SpanFacts<'_> {
        SpanFacts {
            method: self.method.as_str(),
            route,
            path: (route != UNMATCHED).then_some(self.path.as_str()),
            scheme: if self.secure { "https" } else { "http" },
            host: text(self.host.as_ref()).unwrap_or_default(),
            client: self.remote.map(|address| address.ip()),
            user_agent: text(self.agent.as_ref()),
            status,
        }
    }

    fn call_facts(&self, route: &'static str, status: u16) -> Facts<'_> {
        let call = CallFacts {
            method: printable(self.method.as_str()),
            route,
            path: (route != UNMATCHED).then(|| printable(&self.path)),
            remote: self.remote.map(|address| address.ip().to_string()).unwrap_or_default(),
            status,
        };
        Facts { call: Some(call), ..Facts::default() }
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_probes_are_probes() {
        for path in ["/health/alive", "/health/ready/", "/admin/health/ready", "/metrics/prometheus", "/metrics"] {
            assert!(is_probe(path), "{path}");
        }
        for path in ["/admin/clients/health/", "/admin/keys/metrics/prometheus", "/keys/health/x", "/health/", "/"] {
            assert!(!is_probe(path), "{path}");
        }
    }

    #[test]
    fn what_a_gateway_appends_is_cut_off() {
        for (path, becomes) in [
            ("/authz/read", Some("/authz/read")),
            ("/authz/read/", Some("/authz/read")),
            ("/authz/read/a//b;c/%2e%2e/..", Some("/authz/read")),
            ("/authz/re%2Fad/x", Some("/authz/re%2Fad")),
            ("/authz", Some("/authz")),
            ("/authz/", Some("/authz")),
            ("/authz//read", Some("/authz")),
            ("/authzread", None),
            ("/oauth2/introspect", None),
        ] {
            assert_eq!(authz(path, Listener::Gateway), becomes, "{path}");
            assert_eq!(authz(path, Listener::Public), None, "{path}");
        }
    }

    #[test]
    fn h08_one_spelling_of_a_path() {
        for (path, listener, becomes) in [
            ("/oauth2/token", Listener::Public, Some("/oauth2/token")),
            ("/oauth2/token/", Listener::Public, Some("/oauth2/token")),
            ("/oauth2/%74oken", Listener::Public, None),
            ("//oauth2/token", Listener::Public, None),
            ("/oauth2/./token", Listener::Public, None),
            ("/oauth2/x/../token", Listener::Public, None),
            ("/oauth2/token;x", Listener::Public, None),
            ("/%61dmin/clients", Listener::Public, None),
            ("/clients", Listener::Admin, Some("/admin/clients")),
            ("/clients/a%2Fb", Listener::Admin, Some("/admin/clients/a%2Fb")),
            ("/admin/keys/a/b%20c", Listener::Admin, Some("/admin/keys/a/b%20c")),
            ("/admin/oauth2/%69ntrospect", Listener::Admin, None),
            ("/administrator", Listener::Admin, Some("/administrator")),
            ("/oauth2/introspect/", Listener::Gateway, Some("/oauth2/introspect")),
            ("/oauth2/%69ntrospect", Listener::Gateway, None),
            ("/clients", Listener::Gateway, Some("/clients")),
        ] {
            assert_eq!(one_spelling(path, listener).as_deref(), becomes, "{path}");
        }
    }
}
