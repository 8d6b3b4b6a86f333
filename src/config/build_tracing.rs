//! Builds the settings of traces. There is one way out, OTLP over HTTP; what an older provider names is mapped to it, and
//! said. Called by [`super::build`] alone.

use super::gather::Gathered;
use super::settings::{Secret, Tracing};
use url::Url;

/// Where collectors listen for OTLP over HTTP, and over gRPC, which is not spoken here.
const HTTP_PORT: u16 = 4318;
const GRPC_PORT: u16 = 4317;
const SERVER: &str = "tracing.providers.otlp.server_url";

pub(super) fn tracing(from: &mut Gathered, warnings: &mut Vec<String>) -> Tracing {
    let provider = from.opt_text("tracing.provider");
    let otlp_endpoint = match (provider.as_deref(), otlp(from)) {
        (None, _) => None,
        (Some(_), Some(endpoint)) => Some(endpoint),
        (Some("otel"), None) => {
            let fix = "set it, such as 127.0.0.1:4318, or take tracing.provider out";
            from.fault(SERVER, "is missing though tracing.provider is otel", fix);
            None
        }
        (Some(other), None) => mapped(from, other, warnings),
    };
    if let Some(endpoint) = &otlp_endpoint {
        speaks_http(endpoint, warnings);
    }
    let ratio = match provider.as_deref() {
        Some("jaeger") if from.is_set("tracing.providers.jaeger.sampling.trace_id_ratio") => {
            "tracing.providers.jaeger.sampling.trace_id_ratio"
        }
        Some("zipkin") if from.is_set("tracing.providers.zipkin.sampling.sampling_ratio") => {
            "tracing.providers.zipkin.sampling.sampling_ratio"
        }
        _ => "tracing.providers.otlp.sampling.sampling_ratio",
    };
    Tracing {
        otlp_endpoint,
        authorization: from.opt_text("tracing.providers.otlp.authorization_header").map(Secret),
        service_name: from.text_of("tracing.service_name"),
        environment: from.opt_text("tracing.deployment_environment"),
        sampling_ratio: from.ratio(ratio),
    }
}

/// The collector as it is configured, with its scheme.
fn otlp(from: &Gathered) -> Option<String> {
    let server = from.opt_text(SERVER)?;
    if server.contains("://") {
        return Some(server);
    }
    let scheme = if from.bool("tracing.providers.otlp.insecure") { "http" } else { "https" };
    Some(format!("{scheme}://{server}"))
}

/// The host that another provider's settings name: Jaeger listens for OTLP itself, beside Zipkin a collector can.
fn mapped(from: &Gathered, provider: &str, warnings: &mut Vec<String>) -> Option<String> {
    let key = match provider {
        "jaeger" => "tracing.providers.jaeger.local_agent_address",
        _ => "tracing.providers.zipkin.server_url",
    };
    let host = from.opt_text(key).and_then(|address| host(&address));
    let to = host.map(|host| format!("http://{host}:{HTTP_PORT}"));
    warnings.push(match &to {
        Some(to) => format!(
            "tracing.provider {provider} is spoken no more: traces go by OTLP to {to}; \
             set tracing.provider otel and {SERVER} to send them elsewhere"
        ),
        None => format!(
            "tracing.provider {provider} is spoken no more, and without {key} nobody knows where to send traces by OTLP; \
             set tracing.provider otel and {SERVER}"
        ),
    });
    to
}

/// The host of `host:port` or of a URL.
fn host(address: &str) -> Option<String> {
    let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    Url::parse(&url).ok()?.host_str().map(str::to_owned)
}

fn speaks_http(endpoint: &str, warnings: &mut Vec<String>) {
    if Url::parse(endpoint).is_ok_and(|url| url.port() == Some(GRPC_PORT)) {
        warnings.push(format!(
            "{SERVER} has port {GRPC_PORT}, where collectors expect OTLP over gRPC; here it is sent over HTTP, to port {HTTP_PORT}"
        ));
    }
}
