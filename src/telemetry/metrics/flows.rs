//! Metrics of authorization flows: logins, consents, devices, logouts.

use super::{Grid, Metrics, Table};
use crate::telemetry::labels::{DeviceOutcome, FlowOutcome, Outbox};
use prometheus::{IntCounter, IntGauge};

pub(super) struct FlowTable {
    logins: Grid<IntCounter>,
    consents: Grid<IntCounter>,
    devices: Grid<IntCounter>,
    logouts: IntCounter,
    outbox: Grid<IntGauge>,
}

impl FlowTable {
    pub(super) fn new(table: &Table) -> Result<Self, prometheus::Error> {
        let ended = [FlowOutcome::label("outcome")];
        Ok(Self {
            logins: table.counters("signet_login_requests_total", "Login requests that ended.", &ended)?.all(),
            consents: table.counters("signet_consent_requests_total", "Consent requests that ended.", &ended)?.all(),
            devices: table
                .counters("signet_device_codes_total", "Steps of device flows.", &[DeviceOutcome::label("outcome")])?
                .all(),
            logouts: table.counter("signet_logouts_total", "Login sessions ended by a logout.")?,
            outbox: table
                .gauges(
                    "signet_logout_outbox",
                    "Back-channel logout tokens that are not delivered, in the whole installation.",
                    &[Outbox::label("state")],
                )?
                .all(),
        })
    }
}

impl Metrics {
    /// Counts a login request that ended.
    pub fn login_request(&self, outcome: FlowOutcome) {
        self.flows.logins.with([outcome.place()], |series| series.inc());
    }

    /// Counts a consent request that ended.
    pub fn consent_request(&self, outcome: FlowOutcome) {
        self.flows.consents.with([outcome.place()], |series| series.inc());
    }

    /// Counts a step of a device flow.
    pub fn device_code(&self, outcome: DeviceOutcome) {
        self.flows.devices.with([outcome.place()], |series| series.inc());
    }

    /// Counts a login session that was ended by a logout.
    pub fn logout(&self) {
        self.flows.logouts.inc();
    }

    /// Sets how many logout tokens wait and how many were given up.
    pub fn logout_outbox(&self, waiting: u64, dead: u64) {
        for (state, count) in [(Outbox::Waiting, waiting), (Outbox::Dead, dead)] {
            self.flows.outbox.with([state.place()], |series| series.set(i64::try_from(count).unwrap_or(i64::MAX)));
        }
    }
}
