//! Traces: OTLP over HTTP out, W3C trace context in and out. Called by `init`, by the listeners (a caller's context)
//! and by outbound requests. Only `traceparent` and `tracestate` travel: a caller's baggage is not passed on to hooks.

use std::collections::HashMap;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tracing::{Level, Metadata, Span};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterFn, LevelFilter};

use super::{TelemetryError, TelemetrySettings};

const SIGNAL_PATH: &str = "/v1/traces";

/// The exporter's pipeline, or `None` when no collector is configured.
pub(super) fn provider(settings: &TelemetrySettings) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    if !(0.0..=1.0).contains(&settings.sampling_ratio) {
        return Err(TelemetryError::Ratio(settings.sampling_ratio));
    }
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(signal_endpoint(endpoint))
        .build()
        .map_err(|error| TelemetryError::Export(error.to_string()))?;
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sampling_ratio)));
    let pipeline = SdkTracerProvider::builder().with_batch_exporter(exporter).with_sampler(sampler);
    Ok(Some(pipeline.with_resource(resource).build()))
}

/// The exporter posts to exactly this URL, while operators write the collector's base.
fn signal_endpoint(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(SIGNAL_PATH) { base.to_owned() } else { format!("{base}{SIGNAL_PATH}") }
}

/// What is exported: our spans at every level up to debug, the rest from `info` on. Those at debug level cost nothing
/// while traces are off.
pub(super) fn filter() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    let wanted: fn(&Metadata<'_>) -> bool =
        |of| *of.level() <= Level::INFO || (of.is_span() && of.target().starts_with(env!("CARGO_PKG_NAME")));
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

/// The caller's context from its `traceparent` and `tracestate` headers (W3C Trace Context §3); empty when they are
/// absent or malformed. `get` answers a header by its lower-case name.
pub fn remote_context(get: impl Fn(&str) -> Option<String>) -> Context {
    if get("traceparent").is_none() {
        return Context::new();
    }
    let found = ["traceparent", "tracestate"].into_iter().filter_map(|name| Some((name, get(name)?)));
    // Extracted into an empty context: the thread's current one belongs to somebody else's request.
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(found.collect()))
}

struct Setter<F>(F);

impl<F: FnMut(&str, String)> Injector for Setter<F> {
    fn set(&mut self, key: &str, value: String) {
        (self.0)(key, value);
    }
}

/// Writes a context into the headers of an outbound request; `set` receives names and values. Sets nothing when the
/// context carries no trace.
pub fn inject(context: &Context, set: impl FnMut(&str, String)) {
    TraceContextPropagator::new().inject_context(context, &mut Setter(set));
}

/// Whether the caller works inside of a span, so that a span of its own has a place; health, metrics and what the
/// clock drives have none. Cheap when neither traces nor the debug log are on.
#[must_use]
pub fn inside_a_span() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG && !Span::current().is_none()
}

/// The trace id of a context in 32 hex digits, or `None` when it carries no trace.
#[must_use]
pub fn trace_id(context: &Context) -> Option<String> {
    let span = context.span();
    let found = span.span_context();
    found.is_valid().then(|| found.trace_id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_survives_extract_and_inject() {
        let context = remote_context(|name| (name == "traceparent").then(|| PARENT.to_owned()));
        assert_eq!(trace_id(&context).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let mut sent = Vec::new();
        inject(&context, |name, value| sent.push((name.to_owned(), value)));
        assert!(sent.contains(&("traceparent".to_owned(), PARENT.to_owned())));
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
