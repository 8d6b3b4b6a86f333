//! Metrics of the protocol: tokens, introspection, client authentication, outbound hooks.

use prometheus::{Histogram, IntCounter};

use super::{FAST, Grid, Metrics, SLOW, Table};
use crate::telemetry::labels::{
    AuthFailure, AuthMethod, Grant, Hook, HookOutcome, Introspected, Reuse, Source, TokenResult, TokenType,
};

pub(super) struct OauthTable {
    token_requests: Grid<IntCounter>,
    issued: Grid<IntCounter>,
    reused: Grid<IntCounter>,
    introspections: Grid<IntCounter>,
    introspection_seconds: Grid<Histogram>,
    auth_failures: Grid<IntCounter>,
    derivations: Histogram,
    webhook_seconds: Grid<Histogram>,
}

impl OauthTable {
    pub(super) fn new(table: &Table) -> Result<Self, prometheus::Error> {
        let grant = Grant::label("grant_type");
        let introspected = [Introspected::label("result"), Source::label("source")];
        let this = Self {
            token_requests: table.counters(
                "signet_token_requests_total",
                "Requests to the token endpoint.",
                &[grant, TokenResult::label("result"), AuthMethod::label("auth_method")],
            )?,
            issued: table.counters(
                "signet_tokens_issued_total",
                "Tokens issued and stored.",
                &[grant, TokenType::label("token_type")],
            )?,
            reused: table
                .counters(
                    "signet_token_reuse_total",
                    "Codes and refresh tokens that came again after their use.",
                    &[Reuse::label("what")],
                )?
                .all(),
            introspections: table
                .counters("signet_introspections_total", "Introspections answered.", &introspected)?
                .all(),
            introspection_seconds: table.histograms(
                "signet_introspection_duration_seconds",
                "Seconds to decide an introspection.",
                FAST,
                &introspected,
            )?,
            auth_failures: table
                .counters(
                    "signet_client_auth_failures_total",
                    "Failed client authentications.",
                    &[AuthMethod::label("method"), AuthFailure::label("reason")],
                )?
                .all(),
            derivations: table.histogram(
                "signet_secret_derivation_seconds",
                "Seconds of a client secret's check against its hash, the wait for its turn included.",
                SLOW,
            )?,
            webhook_seconds: table.histograms(
                "signet_webhook_duration_seconds",
                "Seconds of outbound calls.",
                SLOW,
                &[Hook::label("hook"), HookOutcome::label("outcome")],
            )?,
        };
        this.first_series();
        Ok(this)
    }

    /// What there is in every installation before the first request.
    fn first_series(&self) {
        for grant in [Grant::AuthorizationCode, Grant::ClientCredentials, Grant::RefreshToken] {
            for result in [TokenResult::Ok, TokenResult::ServerError, TokenResult::TemporarilyUnavailable] {
                self.token_requests.start([grant.place(), result.place(), AuthMethod::Basic.place()]);
            }
            self.issued.start([grant.place(), TokenType::AccessOpaque.place()]);
        }
        self.introspection_seconds.start([Introspected::Active.place(), Source::Db.place()]);
        for hook in Hook::ALL {
            self.webhook_seconds.start([hook.place(), HookOutcome::Ok.place()]);
        }
    }
}

impl Metrics {
    /// Counts one answered token request.
    pub fn token_request(&self, grant: Grant, result: TokenResult, method: AuthMethod) {
        let places = [grant.place(), result.place(), method.place()];
        self.oauth.token_requests.with(places, |series| series.inc());
    }

    /// Counts one token, after its commit.
    pub fn token_issued(&self, grant: Grant, kind: TokenType) {
        self.oauth.issued.with([grant.place(), kind.place()], |series| series.inc());
    }

    /// Counts a code or refresh token that came again.
    pub fn token_reuse(&self, what: Reuse) {
        self.oauth.reused.with([what.place()], |series| series.inc());
    }

    /// Records one introspection and the seconds its decision took.
    pub fn introspection(&self, result: Introspected, source: Source, seconds: f64) {
        let places = [result.place(), source.place()];
        self.oauth.introspections.with(places, |series| series.inc());
        self.oauth.introspection_seconds.with(places, |series| series.observe(seconds));
    }

    /// Counts one failed client authentication.
    pub fn client_auth_failure(&self, method: AuthMethod, reason: AuthFailure) {
        self.oauth.auth_failures.with([method.place(), reason.place()], |series| series.inc());
    }

    /// Records the seconds that the check of a client secret took which was not remembered.
    pub fn secret_derived(&self, seconds: f64) {
        self.oauth.derivations.observe(seconds);
    }

    /// Records the seconds of one outbound call.
    pub fn webhook(&self, hook: Hook, outcome: HookOutcome, seconds: f64) {
        self.oauth.webhook_seconds.with([hook.place(), outcome.place()], |series| series.observe(seconds));
    }
}
