//! A collector of traces: takes OTLP over HTTP as any other would, and keeps every span that it was sent.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::Message;

use super::inbound::read_request;

/// Names and values, all as text.
pub type Attributes = BTreeMap<String, String>;

/// A span as it was sent; ids in hex.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    /// 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// Nanoseconds since the epoch.
    pub start: u64,
    pub end: u64,
    pub attributes: Attributes,
    pub events: Vec<(String, Attributes)>,
    /// Trace and span.
    pub links: Vec<(String, String)>,
    pub failed: bool,
    pub resource: Attributes,
}

impl Span {
    /// An attribute, or an empty text.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.end - self.start)
    }
}

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    heads: String,
    raw: String,
}

/// The collector.
pub struct Collector {
    /// Its host and port.
    pub address: String,
    kept: Arc<Mutex<Kept>>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keep = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sent = read_request(&stream).map(|(head, body)| (head.to_lowercase(), body));
                if let Some((head, body)) = sent.filter(|(head, _)| head.starts_with("post /v1/traces ")) {
                    let request = ExportTraceServiceRequest::decode(&*body).unwrap();
                    let mut kept = keep.lock().unwrap();
                    kept.heads += &head;
                    kept.raw += &format!("{request:?}");
                    kept.spans.extend(spans(request));
                }
                let _ = (&stream).write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        });
        Self { address, kept }
    }

    /// Settings of a server that sends everything here, soon.
    pub fn env(&self) -> [(&str, &str); 5] {
        [
            ("TRACING_PROVIDER", "otel"),
            ("TRACING_PROVIDERS_OTLP_SERVER_URL", &self.address),
            ("TRACING_PROVIDERS_OTLP_INSECURE", "true"),
            ("TRACING_PROVIDERS_OTLP_SAMPLING_SAMPLING_RATIO", "1"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]
    }

    /// Everything so far.
    pub fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap().spans.clone()
    }

    /// Everything, once `enough` says so.
    pub async fn wait(&self, what: &str, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let spans = self.spans();
            if enough(&spans) {
                return spans;
            }
            let seen = || spans.iter().map(|s| format!("{} {}", s.trace, s.name)).collect::<Vec<_>>().join("\n");
            assert!(began.elapsed() < Duration::from_secs(20), "no {what} among\n{}", seen());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The heads of all requests, in lower case.
    pub fn heads(&self) -> String {
        self.kept.lock().unwrap().heads.clone()
    }

    /// Fails if any of these texts is anywhere in what was sent.
    pub fn has_none_of(&self, hidden: &[&str]) {
        let kept = self.kept.lock().unwrap();
        for text in hidden {
            assert!(text.len() > 5, "{text:?} is no secret");
            let found = kept.raw.find(text).map(|at| &kept.raw[at.saturating_sub(200)..at + text.len()]);
            assert!(found.is_none(), "{text} was exported: {found:?}");
        }
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for group in request.resource_spans {
        let resource = attributes(group.resource.map(|of| of.attributes).unwrap_or_default());
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(Span {
                trace: hex::encode(&span.trace_id),
                id: hex::encode(&span.span_id),
                parent: hex::encode(&span.parent_span_id),
                name: span.name,
                kind: span.kind,
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                attributes: attributes(span.attributes),
                events: span.events.into_iter().map(|event| (event.name, attributes(event.attributes))).collect(),
                links: span
                    .links
                    .iter()
                    .map(|link| (hex::encode(&link.trace_id), hex::encode(&link.span_id)))
                    .collect(),
                failed: span.status.is_some_and(|status| status.code == 2),
                resource: resource.clone(),
            });
        }
    }
    all
}

/// Fails where a name comes twice: then nobody knows which counts.
fn attributes(all: Vec<KeyValue>) -> Attributes {
    let mut found = Attributes::new();
    for KeyValue { key, value, .. } in all {
        let value = text(value);
        assert!(!found.contains_key(&key), "{key} is there twice: {value} and {}", found[&key]);
        found.insert(key, value);
    }
    found
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        other => format!("{other:?}"),
    }
}
