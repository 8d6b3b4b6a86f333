//! Metrics of letting requests in.

use super::{Metrics, Table};
use crate::telemetry::labels::Class;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

pub(super) struct AdmissionTable {
    seats: IntGaugeVec,
    shed: IntCounterVec,
}

impl AdmissionTable {
    pub(super) fn new(table: &Table<'_>) -> Result<Self, prometheus::Error> {
        let this = Self {
            seats: table.gauges("signet_requests_in_work", "Requests that are worked on, by class.", &["class"])?,
            shed: table.counters(
                Opts::new("signet_requests_shed_total", "Requests refused with 503 because their class was full."),
                &["class"],
            )?,
        };
        for class in Class::ALL {
            let _ = this.seats.with_label_values(&[class.as_str()]);
            let _ = this.shed.with_label_values(&[class.as_str()]);
        }
        Ok(this)
    }
}

impl Metrics {
    /// Counts a request that is worked on.
    pub fn seat_taken(&self, class: Class) {
        self.admission.seats.with_label_values(&[class.as_str()]).inc();
    }

    /// Counts one that is done.
    pub fn seat_left(&self, class: Class) {
        self.admission.seats.with_label_values(&[class.as_str()]).dec();
    }

    /// Counts one that was refused.
    pub fn request_shed(&self, class: Class) {
        self.admission.shed.with_label_values(&[class.as_str()]).inc();
    }
}
