//! Metrics of letting requests in.

use super::{By, Metrics, Table};
use crate::telemetry::labels::Class;
use prometheus::{IntCounter, IntGauge, Opts};

pub(super) struct AdmissionTable {
    seats: By<IntGauge>,
    shed: By<IntCounter>,
}

impl AdmissionTable {
    pub(super) fn new(table: &Table<'_>) -> Result<Self, prometheus::Error> {
        let seats = table.gauges("signet_requests_in_work", "Requests that are worked on, by class.", &["class"])?;
        let shed = table.counters(
            Opts::new("signet_requests_shed_total", "Requests refused with 503 because their class was full."),
            &["class"],
        )?;
        Ok(Self {
            seats: By::label(&seats, Class::ALL, Class::as_str),
            shed: By::label(&shed, Class::ALL, Class::as_str),
        })
    }
}

impl Metrics {
    /// Counts a request that is worked on.
    pub fn seat_taken(&self, class: Class) {
        self.admission.seats.with(class.place(), |series| series.inc());
    }

    /// Counts one that is done.
    pub fn seat_left(&self, class: Class) {
        self.admission.seats.with(class.place(), |series| series.dec());
    }

    /// Counts one that was refused.
    pub fn request_shed(&self, class: Class) {
        self.admission.shed.with(class.place(), |series| series.inc());
    }
}
