//! Metrics of what changes slowly: keys, secrets, sweeps, schema, readiness, the build itself.

use prometheus::{Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{By, Metrics, REQUEST, Table};
use crate::telemetry::labels::{Alg, AuditLoss, KeySet, ReadyCheck, SecretKind};

/// Source revision.
pub(super) const REVISION: &str = env!("SIGNET_GIT_HASH");
/// Time of the commit that was built.
pub(super) const BUILD_TIME: &str = env!("SIGNET_BUILD_TIME");
const RUSTC: &str = env!("SIGNET_RUSTC");

pub(super) struct UpkeepTable {
    jwk_age: GaugeVec,
    jwk_active: IntGaugeVec,
    jwk_decrypt_failures: IntCounter,
    old_secrets: IntCounterVec,
    janitor_success: Gauge,
    janitor_deleted: IntCounterVec,
    janitor_seconds: Histogram,
    janitor_leader: IntGauge,
    schema_version: IntGauge,
    schema_required: IntGauge,
    ready: IntGaugeVec,
    draining: IntGauge,
    clock_ahead: Gauge,
    panics: IntCounter,
    audit_lost: By<IntCounter>,
}

impl UpkeepTable {
    pub(super) fn new(table: &Table<'_>, version: &str) -> Result<Self, prometheus::Error> {
        let build = table.gauges(
            "signet_build_info",
            "Always 1; the labels name the build.",
            &["version", "revision", "rustc"],
        )?;
        build.with_label_values(&[version, REVISION, RUSTC]).set(1);
        let audit_lost =
            table.counters(Opts::new("signet_audit_events_lost_total", "Audit events not written."), &["reason"])?;
        let this = Self {
            jwk_age: table.seconds_gauges("signet_jwk_age_seconds", "Age of the key that signs.", &["set", "alg"])?,
            jwk_active: table.gauges("signet_jwk_active", "Keys of a set that are published.", &["set"])?,
            jwk_decrypt_failures: table
                .counter("signet_jwk_decrypt_failures_total", "Stored keys no configured secret could open.")?,
            old_secrets: table.counters(
                Opts::new("signet_secret_generation_total", "Values opened with a secret that is not the newest."),
                &["kind"],
            )?,
            janitor_success: table.seconds_gauge(
                "signet_janitor_last_success_timestamp_seconds",
                "Unix time of the last complete sweep; 0 before the first.",
            )?,
            janitor_deleted: table
                .counters(Opts::new("signet_janitor_deleted_rows_total", "Rows deleted by sweeps."), &["table"])?,
            janitor_seconds: table.histogram("signet_janitor_duration_seconds", "Seconds of one sweep.", REQUEST)?,
            janitor_leader: table.gauge("signet_janitor_leader", "1 while this process holds the sweep's lease.")?,
            schema_version: table.gauge("signet_schema_version", "Newest migration found in the database.")?,
            schema_required: table.gauge("signet_schema_required", "Migration this build needs.")?,
            ready: table.gauges("signet_ready", "1 while a readiness check passes.", &["check"])?,
            draining: table.gauge("signet_draining", "1 from the first shutdown signal on.")?,
            clock_ahead: table.seconds_gauge(
                "signet_clock_ahead_seconds",
                "How far this machine's clock is ahead of the database's; below zero when it is behind.",
            )?,
            panics: table.counter("signet_panics_total", "Panics caught anywhere in the process.")?,
            audit_lost: By::label(&audit_lost, AuditLoss::ALL, AuditLoss::as_str),
        };
        this.first_series();
        Ok(this)
    }

    fn first_series(&self) {
        for set in KeySet::ALL {
            let _ = self.jwk_active.with_label_values(&[set.as_str()]);
            let _ = self.jwk_age.with_label_values(&[set.as_str(), Alg::Rs256.as_str()]);
        }
        for kind in SecretKind::ALL {
            let _ = self.old_secrets.with_label_values(&[kind.as_str()]);
        }
        for check in ReadyCheck::ALL {
            let _ = self.ready.with_label_values(&[check.as_str()]);
        }
        // The table every sweep visits; the store names the others through `register_janitor_tables`.
        let _ = self.janitor_deleted.with_label_values(&["token"]);
    }
}

impl Metrics {
    /// Age in seconds of the key a set signs with. A set signs with one algorithm at a time, so the series of its
    /// former algorithm ends here.
    pub fn jwk_age(&self, set: KeySet, alg: Alg, seconds: f64) {
        for former in Alg::ALL.iter().filter(|former| **former != alg) {
            // An error only says that the series was not there.
            let _ = self.upkeep.jwk_age.remove_label_values(&[set.as_str(), former.as_str()]);
        }
        self.upkeep.jwk_age.with_label_values(&[set.as_str(), alg.as_str()]).set(seconds);
    }

    /// How many keys of a set are published.
    pub fn jwk_active(&self, set: KeySet, keys: i64) {
        self.upkeep.jwk_active.with_label_values(&[set.as_str()]).set(keys);
    }

    /// A stored key could not be opened with any configured secret.
    pub fn jwk_decrypt_failure(&self) {
        self.upkeep.jwk_decrypt_failures.inc();
    }

    /// A value was opened with an older secret: that secret is still needed.
    pub fn old_secret_used(&self, kind: SecretKind) {
        self.upkeep.old_secrets.with_label_values(&[kind.as_str()]).inc();
    }

    /// Creates the series of the swept tables at boot.
    pub fn register_janitor_tables(&self, tables: &[&'static str]) {
        for table in tables {
            let _ = self.upkeep.janitor_deleted.with_label_values(&[table]);
        }
    }

    /// Rows one step of a sweep deleted from a table.
    pub fn janitor_deleted(&self, table: &'static str, rows: u64) {
        self.upkeep.janitor_deleted.with_label_values(&[table]).inc_by(rows);
    }

    /// A sweep completed at `unix_seconds` after `seconds`.
    pub fn janitor_swept(&self, unix_seconds: f64, seconds: f64) {
        self.upkeep.janitor_success.set(unix_seconds);
        self.upkeep.janitor_seconds.observe(seconds);
    }

    /// Whether this process holds the sweep's lease.
    pub fn janitor_leader(&self, leads: bool) {
        self.upkeep.janitor_leader.set(i64::from(leads));
    }

    /// The database's migration and the one this build needs.
    pub fn schema(&self, found: i64, required: i64) {
        self.upkeep.schema_version.set(found);
        self.upkeep.schema_required.set(required);
    }

    /// The outcome of one readiness check.
    pub fn ready(&self, check: ReadyCheck, passes: bool) {
        self.upkeep.ready.with_label_values(&[check.as_str()]).set(i64::from(passes));
    }

    /// The process began to drain.
    pub fn draining(&self) {
        self.upkeep.draining.set(1);
    }

    /// How far this machine's clock is ahead of the database's.
    pub fn clock_ahead(&self, seconds: f64) {
        self.upkeep.clock_ahead.set(seconds);
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.upkeep.panics.inc();
    }

    /// An audit event was lost.
    pub fn audit_lost(&self, reason: AuditLoss) {
        self.upkeep.audit_lost.with(reason.place(), |series| series.inc());
    }
}
