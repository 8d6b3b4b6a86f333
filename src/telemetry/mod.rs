//! What an operator sees: log lines, metrics, traces. Called by every room to the right; decides nothing and never
//! reads configuration itself. Invariant: no token, code, secret, cookie or query string reaches a line or a span.

pub mod labels;
mod log_format;
mod log_writer;
pub mod metrics;
pub mod request_log;
pub mod traces;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use log_format::JsonLine;
use log_writer::LogWriter;

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

/// Everything telemetry needs to know, as plain values.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// A level (`trace` to `error`; `fatal` and `panic` mean `error`) or `tracing` directives.
    pub level: String,
    /// How log lines are written.
    pub format: LogFormat,
    /// OTLP/HTTP collector, with or without `/v1/traces`; `None` turns traces off.
    pub otlp_endpoint: Option<String>,
    /// `service.name` of traces and `service_name` of log lines.
    pub service_name: String,
    /// Share of new traces that are kept, 0 to 1; a caller's own decision wins.
    pub sampling_ratio: f64,
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
    /// A subscriber is already installed in this process.
    #[error("telemetry is already set up in this process")]
    Installed,
}

/// Keeps telemetry alive; flushes log lines and spans on [`TelemetryGuard::shutdown`] or when dropped.
#[derive(Debug)]
#[must_use = "dropping the guard ends the export of traces"]
pub struct TelemetryGuard {
    writer: LogWriter,
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
        self.writer.flush();
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Installs the subscriber of the process: lines to standard error, spans to the collector. Call it once; code that
/// never calls it (tests) logs nothing.
///
/// # Errors
/// See [`TelemetryError`]; nothing is installed then.
pub fn init(settings: &TelemetrySettings) -> Result<TelemetryGuard, TelemetryError> {
    let filter = level_filter(&settings.level)?;
    let provider = traces::provider(settings)?;
    let writer = LogWriter::start()?;
    let mut layers = vec![line_layer(settings, writer.clone()).with_filter(filter).boxed()];
    if let Some(provider) = &provider {
        layers.push(traces::layer(provider).with_filter(traces::filter()).boxed());
    }
    tracing_subscriber::registry().with(layers).try_init().map_err(|_| TelemetryError::Installed)?;
    Ok(TelemetryGuard { writer, provider })
}

/// Hydra's level words are logrus'; two of them have no counterpart and mean `error`.
fn level_filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let directives = match level {
        "panic" | "fatal" => "error",
        "warning" => "warn",
        other => other,
    };
    EnvFilter::try_new(directives)
        .map_err(|error| TelemetryError::Level { level: level.to_owned(), reason: error.to_string() })
}

fn line_layer(settings: &TelemetrySettings, writer: LogWriter) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json | LogFormat::JsonPretty => lines
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine::new(&settings.service_name, settings.format == LogFormat::JsonPretty))
            .boxed(),
    }
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
            sampling_ratio: 1.0,
        };
        let guard = init(&settings).unwrap();
        assert!(matches!(init(&settings), Err(TelemetryError::Installed)));
        guard.shutdown();
    }
}
