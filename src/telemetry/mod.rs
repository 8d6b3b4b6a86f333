//! What an operator sees: log lines, audit events, metrics, traces. Called by every room to the right; decides nothing
//! and never reads configuration itself. Invariant: no token, code, secret, cookie or query string reaches a line or a span.

pub mod audit;
pub mod labels;
mod log_format;
mod log_writer;
pub mod metrics;
pub mod request_log;
pub mod traces;

use std::sync::Arc;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use log_format::JsonLine;
use log_writer::{LogWriter, Sink};
use metrics::Metrics;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// JSON with indentation, for reading.
    JsonPretty,
    /// Plain text.
    #[default]
    Text,
}

/// Everything telemetry needs to know, as plain values. No `Debug`: a header in it is a secret.
#[derive(Clone)]
pub struct TelemetrySettings {
    /// A level (`trace` to `error`; `fatal` and `panic` mean `error`) or `tracing` directives.
    pub level: String,
    /// How log lines are written.
    pub format: LogFormat,
    /// OTLP/HTTP collector, with or without `/v1/traces`; `None` turns traces off.
    pub otlp_endpoint: Option<String>,
    /// `service.name` of traces and `service_name` of log lines.
    pub service_name: String,
    /// `deployment.environment.name` of traces.
    pub environment: Option<String>,
    /// The collector's `Authorization` header.
    pub otlp_authorization: Option<String>,
    /// Share of new traces that are kept, 0 to 1; a caller's own decision wins.
    pub sampling_ratio: f64,
    /// Where audit events go; `None` is nowhere.
    pub audit: Option<AuditSettings>,
}

/// The stream of audit events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// A file to add to, or `-` for standard output.
    pub path: String,
    /// Introspections are told too.
    pub introspections: bool,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is neither a level nor a list of directives.
    #[error("log level {level:?} is not understood: {reason}")]
    Level {
        /// The level as configured.
        level: String,
        /// What the parser said.
        reason: String,
    },
    /// The sampling ratio is outside 0 to 1.
    #[error("sampling ratio {0} is not between 0 and 1")]
    Ratio(f64),
    /// The trace exporter could not be built.
    #[error("cannot export traces: {0}")]
    Export(String),
    /// The thread that writes log lines could not be started.
    #[error("cannot start the log thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The file of the audit stream could not be opened.
    #[error(
        "log.audit.path: {path} cannot be opened for writing ({reason}); name a file that this user may write, or -"
    )]
    Audit {
        /// The path as configured.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A subscriber is already installed in this process.
    #[error("telemetry is already set up in this process")]
    Installed,
}

/// Keeps telemetry alive; flushes log lines, audit events and spans on [`TelemetryGuard::shutdown`] or when dropped.
#[derive(Debug)]
#[must_use = "dropping the guard ends the export of traces"]
pub struct TelemetryGuard {
    writer: LogWriter,
    audit: Option<LogWriter>,
    provider: Option<SdkTracerProvider>,
}

impl TelemetryGuard {
    /// Sends what is still buffered and ends the export. Blocks for up to five seconds, so call it off the runtime.
    pub fn shutdown(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last spans were not exported");
        }
        if let Some(audit) = &self.audit {
            audit.flush();
        }
        self.writer.flush();
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Installs the subscriber of the process: lines to standard error, audit events to their stream, spans to the
/// collector. Call it once; code that never calls it (tests) logs nothing.
///
/// # Errors
/// See [`TelemetryError`]; nothing is installed then.
pub fn init(settings: &TelemetrySettings, metrics: &Arc<Metrics>) -> Result<TelemetryGuard, TelemetryError> {
    let filter = level_filter(&settings.level)?;
    let provider = traces::provider(settings)?;
    let audit = settings.audit.as_ref().map(|audit| audit_writer(audit, metrics)).transpose()?;
    let writer = LogWriter::log()?;
    let mut layers = vec![line_layer(settings, writer.clone()).with_filter(filter).boxed()];
    if let Some(provider) = &provider {
        layers.push(traces::layer(provider).with_filter(traces::filter()).boxed());
    }
    if let (Some(writer), Some(of)) = (&audit, &settings.audit) {
        let lines = json_layer(JsonLine::audit(&settings.service_name), writer.clone());
        layers.push(lines.with_filter(audit::filter(of.introspections)).boxed());
    }
    tracing_subscriber::registry().with(layers).try_init().map_err(|_| TelemetryError::Installed)?;
    Ok(TelemetryGuard { writer, audit, provider })
}

fn audit_writer(settings: &AuditSettings, metrics: &Arc<Metrics>) -> Result<LogWriter, TelemetryError> {
    let path = settings.path.clone();
    let sink = Sink::open(&path).map_err(|reason| TelemetryError::Audit { path, reason })?;
    Ok(LogWriter::audit(sink, Arc::clone(metrics))?)
}

/// Hydra's level words are logrus'; two of them have no counterpart and mean `error`.
fn level_filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let directives = match level {
        "panic" | "fatal" => "error",
        "warning" => "warn",
        other => other,
    };
    let not_understood = |reason: String| TelemetryError::Level { level: level.to_owned(), reason };
    let filter = EnvFilter::try_new(directives).map_err(|error| not_understood(error.to_string()))?;
    // Audit events have a stream of their own.
    let no_events = format!("{}=off", audit::TARGET).parse();
    Ok(filter.add_directive(no_events.map_err(|error: ParseError| not_understood(error.to_string()))?))
}

fn line_layer(settings: &TelemetrySettings, writer: LogWriter) -> Box<dyn Layer<Registry> + Send + Sync> {
    match settings.format {
        LogFormat::Text => tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false).boxed(),
        LogFormat::Json | LogFormat::JsonPretty => {
            json_layer(JsonLine::log(&settings.service_name, settings.format == LogFormat::JsonPretty), writer)
        }
    }
}

fn json_layer(line: JsonLine, writer: LogWriter) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    lines.fmt_fields(JsonFields::new()).event_format(line).boxed()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn levels_of_hydra_are_understood() {
        for level in ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace", "signet=debug,info"] {
            assert!(level_filter(level).is_ok(), "{level}");
        }
        assert!(level_filter("signet=loud").is_err());
    }

    #[test]
    fn init_works_once() {
        let settings = TelemetrySettings {
            level: "error".into(),
            format: LogFormat::Json,
            otlp_endpoint: None,
            service_name: "signet".into(),
            environment: None,
            otlp_authorization: None,
            sampling_ratio: 1.0,
            audit: None,
        };
        let metrics = Metrics::new("test").unwrap();
        let nowhere = AuditSettings { path: "/nonexistent/audit.log".into(), introspections: false };
        let refused = init(&TelemetrySettings { audit: Some(nowhere), ..settings.clone() }, &metrics);
        assert!(refused.is_err_and(|e| e.to_string().starts_with("log.audit.path: /nonexistent/audit.log")));
        let guard = init(&settings, &metrics).unwrap();
        assert!(matches!(init(&settings, &metrics), Err(TelemetryError::Installed)));
        guard.shutdown();
    }
}
