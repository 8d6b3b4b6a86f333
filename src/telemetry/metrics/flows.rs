//! Metrics of authorization flows: logins, consents, devices, logouts.

use super::{Metrics, Table};
use crate::telemetry::labels::{DeviceOutcome, FlowOutcome};
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts};

pub(super) struct FlowTable {
    logins: IntCounterVec,
    consents: IntCounterVec,
    devices: IntCounterVec,
    logouts: IntCounter,
    outbox: IntGaugeVec,
}

impl FlowTable {
    pub(super) fn new(table: &Table<'_>) -> Result<Self, prometheus::Error> {
        let this = Self {
            logins: table
                .counters(Opts::new("signet_login_requests_total", "Login requests that ended."), &["outcome"])?,
            consents: table
                .counters(Opts::new("signet_consent_requests_total", "Consent requests that ended."), &["outcome"])?,
            devices: table.counters(Opts::new("signet_device_codes_total", "Steps of device flows."), &["outcome"])?,
            logouts: table.counter("signet_logouts_total", "Login sessions ended by a logout.")?,
            outbox: table.gauges(
                "signet_logout_outbox",
                "Back-channel logout tokens that are not delivered, in the whole installation.",
                &["state"],
            )?,
        };
        for outcome in FlowOutcome::ALL {
            let _ = this.logins.with_label_values(&[outcome.as_str()]);
            let _ = this.consents.with_label_values(&[outcome.as_str()]);
        }
        for outcome in DeviceOutcome::ALL {
            let _ = this.devices.with_label_values(&[outcome.as_str()]);
        }
        for state in ["waiting", "dead"] {
            let _ = this.outbox.with_label_values(&[state]);
        }
        Ok(this)
    }
}

impl Metrics {
    /// Counts a login request that ended.
    pub fn login_request(&self, outcome: FlowOutcome) {
        self.flows.logins.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Counts a consent request that ended.
    pub fn consent_request(&self, outcome: FlowOutcome) {
        self.flows.consents.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Counts a step of a device flow.
    pub fn device_code(&self, outcome: DeviceOutcome) {
        self.flows.devices.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Counts a login session that was ended by a logout.
    pub fn logout(&self) {
        self.flows.logouts.inc();
    }

    /// Sets how many logout tokens wait and how many were given up.
    pub fn logout_outbox(&self, waiting: u64, dead: u64) {
        for (state, count) in [("waiting", waiting), ("dead", dead)] {
            self.flows.outbox.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
