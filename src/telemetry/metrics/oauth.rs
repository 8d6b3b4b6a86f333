//! Metrics of the protocol: tokens, introspection, client authentication, outbound hooks.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Opts};

use super::{By, FAST, Metrics, REQUEST, Table};
use crate::telemetry::labels::{
    AuthFailure, AuthMethod, Grant, Hook, HookOutcome, Introspected, Reuse, Source, TokenResult, TokenType,
};

pub(super) struct OauthTable {
    token_requests: IntCounterVec,
    issued: IntCounterVec,
    reused: IntCounterVec,
    introspections: By<By<IntCounter>>,
    introspection_seconds: By<Histogram>,
    auth_failures: IntCounterVec,
    webhook_seconds: HistogramVec,
}

impl OauthTable {
    pub(super) fn new(table: &Table<'_>) -> Result<Self, prometheus::Error> {
        let introspections = table
            .counters(Opts::new("signet_introspections_total", "Introspections answered."), &["result", "source"])?;
        let seconds = table.histograms(
            Opts::new("signet_introspection_duration_seconds", "Seconds to decide an introspection."),
            FAST,
            &["result"],
        )?;
        let this = Self {
            token_requests: table.counters(
                Opts::new("signet_token_requests_total", "Requests to the token endpoint."),
                &["grant_type", "result", "auth_method"],
            )?,
            issued: table
                .counters(Opts::new("signet_tokens_issued_total", "Tokens issued and stored."), &["token_type"])?,
            reused: table.counters(
                Opts::new("signet_token_reuse_total", "Codes and refresh tokens that came again after their use."),
                &["what"],
            )?,
            introspections: By::of(Introspected::ALL, |result| {
                let of = |source: Source| introspections.with_label_values(&[result.as_str(), source.as_str()]);
                By::of(Source::ALL, of)
            }),
            introspection_seconds: By::label(&seconds, Introspected::ALL, Introspected::as_str),
            auth_failures: table.counters(
                Opts::new("signet_client_auth_failures_total", "Failed client authentications."),
                &["method", "reason"],
            )?,
            webhook_seconds: table.histograms(
                Opts::new("signet_webhook_duration_seconds", "Seconds of outbound calls."),
                REQUEST,
                &["hook", "outcome"],
            )?,
        };
        this.first_series();
        Ok(this)
    }

    fn first_series(&self) {
        for grant in Grant::ALL {
            for result in TokenResult::ALL {
                for method in AuthMethod::ALL {
                    let _ = self.token_requests.with_label_values(&[grant.as_str(), result.as_str(), method.as_str()]);
                }
            }
        }
        for kind in TokenType::ALL {
            let _ = self.issued.with_label_values(&[kind.as_str()]);
        }
        for what in Reuse::ALL {
            let _ = self.reused.with_label_values(&[what.as_str()]);
        }
        for method in AuthMethod::ALL {
            for reason in AuthFailure::ALL {
                let _ = self.auth_failures.with_label_values(&[method.as_str(), reason.as_str()]);
            }
        }
        for hook in Hook::ALL {
            for outcome in HookOutcome::ALL {
                let _ = self.webhook_seconds.with_label_values(&[hook.as_str(), outcome.as_str()]);
            }
        }
    }
}

impl Metrics {
    /// Counts one answered token request.
    pub fn token_request(&self, grant: Grant, result: TokenResult, method: AuthMethod) {
        self.oauth.token_requests.with_label_values(&[grant.as_str(), result.as_str(), method.as_str()]).inc();
    }

    /// Counts one token, after its commit.
    pub fn token_issued(&self, kind: TokenType) {
        self.oauth.issued.with_label_values(&[kind.as_str()]).inc();
    }

    /// Counts a code or refresh token that came again.
    pub fn token_reuse(&self, what: Reuse) {
        self.oauth.reused.with_label_values(&[what.as_str()]).inc();
    }

    /// Records one introspection and the seconds its decision took.
    pub fn introspection(&self, result: Introspected, source: Source, seconds: f64) {
        self.oauth.introspections.with(result.place(), |by| by.with(source.place(), |series| series.inc()));
        self.oauth.introspection_seconds.with(result.place(), |series| series.observe(seconds));
    }

    /// Counts one failed client authentication.
    pub fn client_auth_failure(&self, method: AuthMethod, reason: AuthFailure) {
        self.oauth.auth_failures.with_label_values(&[method.as_str(), reason.as_str()]).inc();
    }

    /// Records the seconds of one outbound call.
    pub fn webhook(&self, hook: Hook, outcome: HookOutcome, seconds: f64) {
        self.oauth.webhook_seconds.with_label_values(&[hook.as_str(), outcome.as_str()]).observe(seconds);
    }
}
