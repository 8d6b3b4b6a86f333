//! Metrics of letting requests in.

use super::{Grid, Metrics, Table};
use crate::telemetry::labels::Class;
use prometheus::{IntCounter, IntGauge};

pub(super) struct AdmissionTable {
    seats: Grid<IntGauge>,
    most: Grid<IntGauge>,
    shed: Grid<IntCounter>,
}

impl AdmissionTable {
    pub(super) fn new(table: &Table) -> Result<Self, prometheus::Error> {
        let class = [Class::label("class")];
        Ok(Self {
            seats: table.gauges("signet_requests_in_work", "Requests that are worked on, by class.", &class)?.all(),
            most: table.gauges("signet_requests_in_work_max", "Requests of a class worked on at most.", &class)?.all(),
            shed: table
                .counters(
                    "signet_requests_shed_total",
                    "Requests refused with 503 because their class was full.",
                    &class,
                )?
                .all(),
        })
    }
}

impl Metrics {
    /// Says how many requests of a class are worked on at most.
    pub fn seats(&self, class: Class, most: usize) {
        self.admission.most.with([class.place()], |series| series.set(i64::try_from(most).unwrap_or(i64::MAX)));
    }

    /// Counts a request that is worked on.
    pub fn seat_taken(&self, class: Class) {
        self.admission.seats.with([class.place()], |series| series.inc());
    }

    /// Counts one that is done.
    pub fn seat_left(&self, class: Class) {
        self.admission.seats.with([class.place()], |series| series.dec());
    }

    /// Counts one that was refused.
    pub fn request_shed(&self, class: Class) {
        self.admission.shed.with([class.place()], |series| series.inc());
    }
}
