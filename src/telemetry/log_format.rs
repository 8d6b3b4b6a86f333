//! The JSON shape of a log line: Hydra's field names (`level`, `msg`, `time`, `audience`, `service_name`,
//! `service_version`), so that existing pipelines read ours. A field `a.b` becomes a member `b` of the object `a`.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Fields of the request's span that every line written inside it repeats.
const FROM_SPAN: [&str; 2] = ["request_id", "trace_id"];

/// Formats events as JSON objects.
pub(super) struct JsonLine {
    audience: &'static str,
    /// What the text of an event is called.
    message: &'static str,
    service: String,
    pretty: bool,
}

impl JsonLine {
    /// A line of the log.
    pub(super) fn log(service: &str, pretty: bool) -> Self {
        Self { audience: "application", message: "msg", service: service.to_owned(), pretty }
    }

    /// A line of the audit stream.
    pub(super) fn audit(service: &str) -> Self {
        Self { audience: "audit", message: "event", service: service.to_owned(), pretty: false }
    }

    fn is_audit(&self) -> bool {
        self.audience == "audit"
    }

    fn envelope(&self, event: &Event<'_>) -> Result<Map<String, Value>, fmt::Error> {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        line.insert("level".into(), level(event).into());
        line.insert("time".into(), time.into());
        line.insert("audience".into(), self.audience.into());
        line.insert("service_name".into(), self.service.clone().into());
        line.insert("service_version".into(), env!("CARGO_PKG_VERSION").into());
        if !self.is_audit() {
            line.insert("target".into(), event.metadata().target().into());
        }
        Ok(line)
    }
}

/// logrus' words, as Hydra writes them.
fn level(event: &Event<'_>) -> &'static str {
    match *event.metadata().level() {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warning",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Fields { members: self.envelope(event)?, message: self.message };
        event.record(&mut line);
        for span in ctx.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.take_from_span(&fields.fields);
            }
        }
        let text = if self.pretty {
            serde_json::to_string_pretty(&line.members)
        } else {
            serde_json::to_string(&line.members)
        };
        writeln!(writer, "{}", text.map_err(|_| fmt::Error)?)
    }
}

struct Fields {
    members: Map<String, Value>,
    message: &'static str,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        match name {
            "message" => drop(self.members.insert(self.message.into(), value)),
            "log.target" => drop(self.members.insert("target".into(), value)),
            // Where a line of the `log` crate was written: noise beside its target.
            name if name.starts_with("log.") => {}
            name => match name.split_once('.') {
                Some((group, member)) => self.nest(group, member, value),
                None => drop(self.members.insert(name.into(), value)),
            },
        }
    }

    fn nest(&mut self, group: &str, member: &str, value: Value) {
        let object = self.members.entry(group).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(members) = object {
            members.insert(member.into(), value);
        }
    }

    fn take_from_span(&mut self, fields: &str) {
        if FROM_SPAN.iter().all(|name| self.members.contains_key(*name)) || fields.is_empty() {
            return;
        }
        let Ok(Value::Object(mut span)) = serde_json::from_str(fields) else { return };
        for name in FROM_SPAN {
            if let Some(value) = span.remove(name) {
                self.members.entry(name).or_insert(value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names_nest_and_the_message_is_msg() {
        let mut fields = Fields { members: Map::new(), message: "msg" };
        fields.put("message", "done".into());
        fields.put("http_request.method", "GET".into());
        fields.put("http_request.path", "/x".into());
        fields.put("log.line", 7.into());
        fields.take_from_span(r#"{"request_id":"r1","secret":"s"}"#);
        let expected = serde_json::json!({
            "http_request": {"method": "GET", "path": "/x"}, "msg": "done", "request_id": "r1",
        });
        assert_eq!(Value::Object(fields.members), expected);
    }
}
