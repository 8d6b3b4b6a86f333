//! Metrics of what changes slowly: keys, secrets, certificates, sweeps, schema, readiness, the build itself.

use prometheus::{Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{Grid, Metrics, SLOW, Table};
use crate::telemetry::labels::{Alg, AuditLoss, KeySet, Label, Listener, ReadyCheck, SecretKind};

/// Source revision.
pub(super) const REVISION: &str = env!("SIGNET_GIT_HASH");
/// Time of the commit that was built.
pub(super) const BUILD_TIME: &str = env!("SIGNET_BUILD_TIME");
const RUSTC: &str = env!("SIGNET_RUSTC");

pub(super) struct UpkeepTable {
    keys: Keys,
    janitor: Janitor,
    certificates: GaugeVec,
    schema_version: IntGauge,
    schema_required: IntGauge,
    ready: Grid<IntGauge>,
    draining: IntGauge,
    clock_ahead: Gauge,
    panics: IntCounter,
    audit_lost: Grid<IntCounter>,
}

struct Keys {
    age: GaugeVec,
    rotation: Gauge,
    active: Grid<IntGauge>,
    decrypt_failures: IntCounter,
    secrets: Grid<IntGauge>,
    old_secrets: Grid<IntCounter>,
}

impl Keys {
    fn new(table: &Table) -> Result<Self, prometheus::Error> {
        let (set, kind) = (KeySet::label("set"), [SecretKind::label("kind")]);
        let this = Self {
            age: table.seconds_vec(
                "signet_jwk_age_seconds",
                "Age of the key that signs.",
                &[set, Alg::label("alg")],
            )?,
            rotation: table
                .seconds_gauge("signet_jwk_rotation_seconds", "Age at which a new key takes over; 0 for never.")?,
            active: table.gauges("signet_jwk_active", "Keys of a set that are published.", &[set])?.all(),
            decrypt_failures: table
                .counter("signet_jwk_decrypt_failures_total", "Stored keys no configured secret could open.")?,
            secrets: table.gauges("signet_secrets", "Secrets that are configured; the first is in use.", &kind)?.all(),
            old_secrets: table
                .counters(
                    "signet_secret_generation_total",
                    "Values opened with a secret that is not the newest.",
                    &kind,
                )?
                .all(),
        };
        for set in KeySet::ALL {
            let _ = this.age.with_label_values(&[set.as_str(), Alg::Rs256.as_str()]);
        }
        Ok(this)
    }
}

struct Janitor {
    success: Gauge,
    interval: Gauge,
    deleted: IntCounterVec,
    backlog: IntGaugeVec,
    seconds: Histogram,
    leader: IntGauge,
}

impl Janitor {
    fn new(table: &Table) -> Result<Self, prometheus::Error> {
        let deleted = Opts::new("signet_janitor_deleted_rows_total", "Rows deleted by sweeps.");
        let this = Self {
            success: table.seconds_gauge(
                "signet_janitor_last_success_timestamp_seconds",
                "Unix time of the last complete sweep; 0 before the first.",
            )?,
            interval: table.seconds_gauge("signet_janitor_interval_seconds", "Seconds from one sweep to the next.")?,
            deleted: table.counter_vec(deleted, &[Label::open("table")])?,
            backlog: table.gauge_vec(
                "signet_janitor_backlog",
                "1 while the last sweep took as many rows of a table as it may, so that more are left.",
                &[Label::open("table")],
            )?,
            seconds: table.histogram("signet_janitor_duration_seconds", "Seconds of one sweep.", SLOW)?,
            leader: table.gauge("signet_janitor_leader", "1 while this process holds the sweep's lease.")?,
        };
        // A table that every sweep visits; the store names the others through `register_janitor_tables`.
        this.first_series("access_token");
        Ok(this)
    }

    fn first_series(&self, table: &str) {
        let _ = (self.deleted.with_label_values(&[table]), self.backlog.with_label_values(&[table]));
    }
}

impl UpkeepTable {
    pub(super) fn new(table: &Table, version: &str) -> Result<Self, prometheus::Error> {
        let build = table.gauge_vec(
            "signet_build_info",
            "Always 1; the labels name the build.",
            &["version", "revision", "rustc"].map(Label::open),
        )?;
        build.with_label_values(&[version, REVISION, RUSTC]).set(1);
        Ok(Self {
            keys: Keys::new(table)?,
            janitor: Janitor::new(table)?,
            certificates: table.seconds_vec(
                "signet_tls_certificate_expiry_timestamp_seconds",
                "Unix time at which a listener's certificate runs out.",
                &[Listener::label("listener")],
            )?,
            schema_version: table.gauge("signet_schema_version", "Newest migration found in the database.")?,
            schema_required: table.gauge("signet_schema_required", "Migration this build needs.")?,
            ready: table
                .gauges("signet_ready", "1 while a readiness check passes.", &[ReadyCheck::label("check")])?
                .all(),
            draining: table.gauge("signet_draining", "1 from the first shutdown signal on.")?,
            clock_ahead: table.seconds_gauge(
                "signet_clock_ahead_seconds",
                "How far this machine's clock is ahead of the database's; below zero when it is behind.",
            )?,
            panics: table.counter("signet_panics_total", "Panics caught anywhere in the process.")?,
            audit_lost: table
                .counters("signet_audit_events_lost_total", "Audit events not written.", &[AuditLoss::label("reason")])?
                .all(),
        })
    }
}

impl Metrics {
    /// Age in seconds of the key a set signs with. A set signs with one algorithm at a time, so the series of its
    /// former algorithm ends here.
    pub fn jwk_age(&self, set: KeySet, alg: Alg, seconds: f64) {
        for former in Alg::ALL.iter().filter(|former| **former != alg) {
            // An error only says that the series was not there.
            let _ = self.upkeep.keys.age.remove_label_values(&[set.as_str(), former.as_str()]);
        }
        self.upkeep.keys.age.with_label_values(&[set.as_str(), alg.as_str()]).set(seconds);
    }

    /// The age at which a new key takes over, in seconds; 0 when none ever does.
    pub fn jwk_rotation(&self, seconds: f64) {
        self.upkeep.keys.rotation.set(seconds);
    }

    /// How many keys of a set are published.
    pub fn jwk_active(&self, set: KeySet, keys: i64) {
        self.upkeep.keys.active.with([set.place()], |series| series.set(keys));
    }

    /// A stored key could not be opened with any configured secret.
    pub fn jwk_decrypt_failure(&self) {
        self.upkeep.keys.decrypt_failures.inc();
    }

    /// How many secrets are configured.
    pub fn secrets(&self, kind: SecretKind, configured: usize) {
        self.upkeep.keys.secrets.with([kind.place()], |s| s.set(i64::try_from(configured).unwrap_or(i64::MAX)));
    }

    /// A value was opened with this secret of its list; 0 is the newest. An older one counts, for it is still needed.
    pub fn opened_with(&self, kind: SecretKind, generation: usize) {
        if generation > 0 {
            self.upkeep.keys.old_secrets.with([kind.place()], |series| series.inc());
        }
    }

    /// Creates the series of the swept tables at boot.
    pub fn register_janitor_tables(&self, tables: &[&'static str]) {
        for table in tables {
            self.upkeep.janitor.first_series(table);
        }
    }

    /// Rows one step of a sweep deleted from a table.
    pub fn janitor_deleted(&self, table: &'static str, rows: u64) {
        self.upkeep.janitor.deleted.with_label_values(&[table]).inc_by(rows);
    }

    /// Whether more rows of a table are over than the last sweep could take.
    pub fn janitor_backlog(&self, table: &'static str, more: bool) {
        self.upkeep.janitor.backlog.with_label_values(&[table]).set(i64::from(more));
    }

    /// How often the janitor means to sweep, in seconds.
    pub fn janitor_interval(&self, seconds: f64) {
        self.upkeep.janitor.interval.set(seconds);
    }

    /// A sweep completed at `unix_seconds` after `seconds`.
    pub fn janitor_swept(&self, unix_seconds: f64, seconds: f64) {
        self.upkeep.janitor.success.set(unix_seconds);
        self.upkeep.janitor.seconds.observe(seconds);
    }

    /// Whether this process holds the sweep's lease.
    pub fn janitor_leader(&self, leads: bool) {
        self.upkeep.janitor.leader.set(i64::from(leads));
    }

    /// When the certificate of a listener runs out, in Unix seconds.
    pub fn certificate_expires(&self, listener: Listener, unix_seconds: f64) {
        self.upkeep.certificates.with_label_values(&[listener.as_str()]).set(unix_seconds);
    }

    /// The database's migration and the one this build needs.
    pub fn schema(&self, found: i64, required: i64) {
        self.upkeep.schema_version.set(found);
        self.upkeep.schema_required.set(required);
    }

    /// The outcome of one readiness check.
    pub fn ready(&self, check: ReadyCheck, passes: bool) {
        self.upkeep.ready.with([check.place()], |series| series.set(i64::from(passes)));
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
        self.upkeep.audit_lost.with([reason.place()], |series| series.inc());
    }
}
