//! Metrics of the listeners: OpenTelemetry's names, and beside them Hydra's, so that existing dashboards keep working.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts};

use super::{BYTES, Grid, HYDRA, Metrics, REQUEST, Table};
use crate::telemetry::labels::{Label, Listener, Method, StatusBucket};

/// Routes with an objective, and the answers that it is judged by: a series that begins with its first failure hides that
/// failure from `rate`, so these exist from the start.
const JUDGED: [&str; 6] = [
    "/oauth2/token",
    "/admin/oauth2/introspect",
    "/admin/oauth2/introspect/batch",
    "/oauth2/introspect",
    "/oauth2/introspect/batch",
    "/authz/{policy}",
];
const JUDGED_BY: [&str; 3] = ["200", "500", "503"];

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub struct HttpSample {
    /// The listener that served it.
    pub listener: Listener,
    /// The request method.
    pub method: Method,
    /// The route pattern (`/admin/clients/{id}`), never the path; one constant for requests that matched no route.
    pub route: &'static str,
    /// Status code of the answer.
    pub status: u16,
    /// Seconds from the request line to the last byte of the answer.
    pub seconds: f64,
    /// Bytes of the request body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
}

/// Counts a request as active until it is dropped.
#[derive(Debug)]
pub struct ActiveRequest(Option<IntGauge>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            gauge.dec();
        }
    }
}

pub(super) struct HttpTable {
    hydra: Option<HydraTable>,
    server_durations: HistogramVec,
    active: Grid<IntGauge>,
    known: RwLock<HashMap<Kind, Arc<Series>>>,
}

/// What requests that are counted together have in common.
type Kind = (Listener, Method, &'static str, u16);

/// Everything that requests of one kind are counted in, looked up once.
struct Series {
    server_duration: Histogram,
    hydra: Option<HydraSeries>,
}

impl HttpTable {
    /// With Hydra's names, or with OpenTelemetry's alone.
    pub(super) fn new(table: &Table, version: &str, hydra: bool) -> Result<Self, prometheus::Error> {
        let otel = [
            Label::open("http_route"),
            Method::label("http_request_method"),
            Label::open("http_response_status_code"),
            Listener::label("listener"),
        ];
        let server = Opts::new("http_server_request_duration_seconds", "Seconds a request took.");
        let this = Self {
            hydra: if hydra { Some(HydraTable::new(table, version)?) } else { None },
            server_durations: table.histogram_vec(server, REQUEST, &otel)?,
            active: table
                .gauges("http_server_active_requests", "Requests being served.", &[Listener::label("listener")])?
                .all(),
            known: RwLock::default(),
        };
        // Health probes, which stand for the table before the first request.
        drop(this.series((Listener::Public, Method::Get, "/health/alive", 200)));
        Ok(this)
    }

    fn series(&self, kind: Kind) -> Arc<Series> {
        if let Some(series) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&kind) {
            return Arc::clone(series);
        }
        let (listener, method, route, status) = kind;
        let code = status.to_string();
        let labels = [route, method.as_str(), code.as_str(), listener.as_str()];
        let series = Arc::new(Series {
            server_duration: self.server_durations.with_label_values(&labels),
            hydra: self.hydra.as_ref().map(|hydra| hydra.series(kind)),
        });
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(kind, Arc::clone(&series));
        series
    }
}

/// The names of Hydra.
struct HydraTable {
    requests: IntCounterVec,
    durations: HistogramVec,
    response_times: HistogramVec,
    response_sizes: HistogramVec,
    request_sizes: HistogramVec,
    statuses: IntCounterVec,
}

struct HydraSeries {
    requests: IntCounter,
    duration: Histogram,
    response_time: Histogram,
    response_size: Histogram,
    request_size: Histogram,
    status: IntCounter,
}

impl HydraTable {
    fn new(table: &Table, version: &str) -> Result<Self, prometheus::Error> {
        let hydra = |name: &str, help: &str| {
            Opts::new(name, help)
                .const_label("app", "signet")
                .const_label("version", version)
                .const_label("hash", super::upkeep::REVISION)
                .const_label("buildTime", super::upkeep::BUILD_TIME)
        };
        let (code, method, endpoint) = (Label::open("code"), Method::label("method"), Label::open("endpoint"));
        let all = [code, method, endpoint];
        let histogram = |name, help, buckets, labels: &[Label]| table.histogram_vec(hydra(name, help), buckets, labels);
        Ok(Self {
            requests: table.counter_vec(hydra("http_requests_total", "Requests served."), &all)?,
            durations: histogram("http_requests_duration_seconds", "Seconds a request took.", HYDRA, &all)?,
            response_times: histogram(
                "http_response_time_seconds",
                "Seconds a request took, by endpoint.",
                HYDRA,
                &[endpoint],
            )?,
            response_sizes: histogram("http_response_size_bytes", "Bytes of response bodies.", BYTES, &[code, method])?,
            request_sizes: histogram("http_requests_size_bytes", "Bytes of request bodies.", BYTES, &[code, method])?,
            statuses: table.counter_vec(
                hydra("http_requests_statuses_total", "Requests by class of status code."),
                &[method, StatusBucket::label("status_bucket")],
            )?,
        })
    }

    fn series(&self, (_, method, route, status): Kind) -> HydraSeries {
        let (method, code) = (method.as_str(), status.to_string());
        let code = code.as_str();
        HydraSeries {
            requests: self.requests.with_label_values(&[code, method, route]),
            duration: self.durations.with_label_values(&[code, method, route]),
            response_time: self.response_times.with_label_values(&[route]),
            response_size: self.response_sizes.with_label_values(&[code, method]),
            request_size: self.request_sizes.with_label_values(&[code, method]),
            status: self.statuses.with_label_values(&[method, bucket(status).as_str()]),
        }
    }
}

impl HydraSeries {
    #[expect(clippy::cast_precision_loss, reason = "a histogram's sum is a float; sizes stay far below 2^53")]
    fn observe(&self, sample: &HttpSample) {
        self.requests.inc();
        self.duration.observe(sample.seconds);
        self.response_time.observe(sample.seconds);
        self.response_size.observe(sample.response_bytes as f64);
        self.request_size.observe(sample.request_bytes as f64);
        self.status.inc();
    }
}

const fn bucket(status: u16) -> StatusBucket {
    match status {
        ..=199 => StatusBucket::Informational,
        200..=299 => StatusBucket::Success,
        300..=399 => StatusBucket::Redirection,
        400..=499 => StatusBucket::ClientError,
        500.. => StatusBucket::ServerError,
    }
}

impl Metrics {
    /// Called once per route by the listener's wiring: those with an objective have their series from now on.
    pub fn register_route(&self, listener: Listener, method: &str, route: &'static str) {
        if JUDGED.contains(&route) {
            for code in JUDGED_BY {
                let _ = self.http.server_durations.with_label_values(&[route, method, code, listener.as_str()]);
            }
        }
    }

    /// Counts a request as active; drop the value when the answer is sent or abandoned.
    #[must_use]
    pub fn active_request(&self, listener: Listener) -> ActiveRequest {
        let mut gauge = None;
        self.http.active.with([listener.place()], |series| gauge = Some(series.clone()));
        if let Some(gauge) = &gauge {
            gauge.inc();
        }
        ActiveRequest(gauge)
    }

    /// Records one finished request.
    pub fn observe_http(&self, sample: &HttpSample) {
        let series = self.http.series((sample.listener, sample.method, sample.route, sample.status));
        series.server_duration.observe(sample.seconds);
        if let Some(hydra) = &series.hydra {
            hydra.observe(sample);
        }
    }
}
