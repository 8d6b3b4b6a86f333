//! Traces: OTLP over HTTP out, W3C trace context and baggage in and out. Called by `init`, by the listeners (a caller's
//! context), by outbound requests, and by whoever opens a span.
//!
//! Invariant: while traces are off nobody pays for them, and a request that is not sampled pays for its own span alone.
//! A caller's baggage goes on to the operator's hooks and to nobody else.

use std::collections::HashMap;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tracing::{Level, Metadata, Span};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterFn, LevelFilter};

use super::{TelemetryError, TelemetrySettings, audit, request_log};

const SIGNAL_PATH: &str = "/v1/traces";
/// Links of one span: a batch has one to each request whose work it carries.
const LINKS: u32 = 256;

/// The exporter's pipeline, or `None` when no collector is configured.
pub(super) fn provider(settings: &TelemetrySettings) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    if !(0.0..=1.0).contains(&settings.sampling_ratio) {
        return Err(TelemetryError::Ratio(settings.sampling_ratio));
    }
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
    let headers = settings.otlp_authorization.iter().map(|value| ("authorization".to_owned(), value.clone()));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(signal_endpoint(endpoint))
        .with_headers(headers.collect())
        .build()
        .map_err(|error| TelemetryError::Export(error.to_string()))?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sampling_ratio)));
    let pipeline = SdkTracerProvider::builder().with_batch_exporter(exporter).with_sampler(sampler);
    Ok(Some(pipeline.with_max_links_per_span(LINKS).with_resource(resource(settings)).build()))
}

/// Who sends the spans; `OTEL_RESOURCE_ATTRIBUTES` adds to it.
fn resource(settings: &TelemetrySettings) -> Resource {
    let environment = settings.environment.iter();
    let environment = environment.map(|name| KeyValue::new("deployment.environment.name", name.clone()));
    Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(environment)
        .build()
}

/// The exporter posts to exactly this URL, while operators write the collector's base.
fn signal_endpoint(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(SIGNAL_PATH) { base.to_owned() } else { format!("{base}{SIGNAL_PATH}") }
}

/// What is exported: our spans at every level up to debug, the rest from `info` on. Those at debug level cost nothing
/// while traces are off.
pub(super) fn filter() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    let wanted: fn(&Metadata<'_>) -> bool = |of| match of.is_span() {
        true => *of.level() <= Level::INFO || of.target().starts_with(env!("CARGO_PKG_NAME")),
        // The request's line says what its span says already.
        false => *of.level() <= Level::INFO && !audit::is_streamed(of.target()) && of.target() != request_log::TARGET,
    };
    FilterFn::new(wanted).with_max_level_hint(LevelFilter::DEBUG)
}

/// The layer that turns spans into exported ones.
pub(super) fn layer(provider: &SdkTracerProvider) -> OpenTelemetryLayer<Registry, SdkTracer> {
    tracing_opentelemetry::layer().with_tracer(provider.tracer("signet")).with_location(false).with_threads(false)
}

struct Headers(HashMap<&'static str, String>);

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
    fn keys(&self) -> Vec<&str> {
        self.0.keys().copied().collect()
    }
}

/// The caller's context from its `traceparent` and `tracestate` headers (W3C Trace Context §3) with the `baggage` that
/// comes with them (W3C Baggage §3); empty when they are absent or malformed. `get` answers a header by its lower-case
/// name.
pub fn remote_context(get: impl Fn(&str) -> Option<String>) -> Context {
    if get("traceparent").is_none() {
        return Context::new();
    }
    let found = ["traceparent", "tracestate", "baggage"].into_iter().filter_map(|name| Some((name, get(name)?)));
    let headers = Headers(found.collect());
    // Extracted into an empty context: the thread's current one belongs to somebody else's request.
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    if headers.0.contains_key("baggage") {
        return BaggagePropagator::new().extract_with_context(&context, &headers);
    }
    context
}

struct Setter<F>(F);

impl<F: FnMut(&str, String)> Injector for Setter<F> {
    fn set(&mut self, key: &str, value: String) {
        (self.0)(key, value);
    }
}

/// Writes a context into the headers of an outbound request; `set` receives names and values. Sets nothing when the
/// context carries no trace. `baggage` goes only to who may see it.
pub fn inject(context: &Context, baggage: bool, set: impl FnMut(&str, String)) {
    if !context.has_active_span() {
        return;
    }
    let mut setter = Setter(set);
    TraceContextPropagator::new().inject_context(context, &mut setter);
    if baggage {
        BaggagePropagator::new().inject_context(context, &mut setter);
    }
}

/// Whether the caller works inside of a span that somebody will see, so that a span of its own has a place. Health,
/// metrics and what the clock drives have none, and a trace that is not sampled grows no further. Cheap when neither
/// traces nor the debug log are on.
#[must_use]
pub fn inside_a_span() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG && is_seen(&Span::current())
}

/// Whether anybody will see a span: a trace has it, or, without traces, the debug log.
#[must_use]
pub fn is_seen(span: &Span) -> bool {
    !span.is_none() && !is_unsampled(&span.context())
}

/// Whether a context is of a trace that is not kept.
pub(super) fn is_unsampled(context: &Context) -> bool {
    let span = context.span();
    let found = span.span_context();
    found.is_valid() && !found.is_sampled()
}

/// A span for a part of a request's work, if somebody will see it.
#[must_use]
pub fn span(name: &'static str) -> Span {
    if inside_a_span() { tracing::debug_span!("part", otel.name = name) } else { Span::none() }
}

/// Notes on the caller's span why its work failed: a short name from a closed set, never a message.
pub fn failed(kind: &'static str) {
    if inside_a_span() {
        fail(&Span::current(), kind);
    }
}

/// The same on a span that the caller holds.
pub fn fail(span: &Span, kind: impl Into<opentelemetry::Value>) {
    span.set_attribute("error.type", kind);
    span.set_status(Status::error(""));
}

/// Adds an event to the caller's span, if somebody will see it.
pub fn event(name: &'static str, attributes: impl FnOnce() -> Vec<KeyValue>) {
    if inside_a_span() {
        Span::current().add_event(name, attributes());
    }
}

/// A span's id in 16 hex digits; empty when it is in no trace.
#[must_use]
pub fn span_id(span: &Span) -> String {
    let context = span.context();
    let span = context.span();
    let found = span.span_context();
    if found.is_valid() { found.span_id().to_string() } else { String::new() }
}

/// Links two spans with each other: neither is the other's parent, and each leads to the other.
pub fn link(one: &Span, other: &Span) {
    let at = |span: &Span| span.context().span().span_context().clone();
    let (of_one, of_other) = (at(one), at(other));
    one.add_link(of_other);
    other.add_link(of_one);
}

/// The trace id of a context in 32 hex digits, or `None` when it carries no trace.
#[must_use]
pub fn trace_id(context: &Context) -> Option<String> {
    let span = context.span();
    let found = span.span_context();
    found.is_valid().then(|| found.trace_id().to_string())
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a failed test may panic")]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_survives_extract_and_inject() {
        let context = remote_context(|name| (name == "traceparent").then(|| PARENT.to_owned()));
        assert_eq!(trace_id(&context).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let mut sent = Vec::new();
        inject(&context, true, |name, value| sent.push((name.to_owned(), value)));
        assert!(sent.contains(&("traceparent".to_owned(), PARENT.to_owned())));
    }

    #[test]
    fn baggage_goes_only_where_it_may() {
        let headers = [("traceparent", PARENT), ("baggage", "tenant=acme")];
        let get = |wanted: &str| headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned());
        let context = remote_context(get);
        for (allowed, expected) in [(true, Some("tenant=acme")), (false, None)] {
            let mut sent = HashMap::new();
            inject(&context, allowed, |name, value| drop(sent.insert(name.to_owned(), value)));
            assert_eq!(sent.get("traceparent").map(String::as_str), Some(PARENT));
            assert_eq!(sent.get("baggage").map(String::as_str), expected);
        }
        let alone = remote_context(|name| (name == "baggage").then(|| "tenant=acme".to_owned()));
        inject(&alone, true, |name, value| panic!("{name}: {value} without a trace"));
    }

    #[test]
    fn a_trace_that_is_not_sampled_is_seen_by_nobody() {
        let context =
            |flags: &str| remote_context(|name| (name == "traceparent").then(|| PARENT.replace("-01", flags)));
        assert!(is_unsampled(&context("-00")) && !is_unsampled(&context("-01")) && !is_unsampled(&Context::new()));
    }

    #[test]
    fn a_malformed_header_is_no_trace() {
        for header in ["", "00-0-0-0", "00-00000000000000000000000000000000-0000000000000000-01", "ff\n"] {
            assert_eq!(trace_id(&remote_context(|_| Some(header.to_owned()))), None, "{header:?}");
        }
    }

    #[test]
    fn the_signal_path_is_added_once() {
        for endpoint in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(signal_endpoint(endpoint), "http://c:4318/v1/traces");
        }
    }
}
