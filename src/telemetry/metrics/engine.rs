//! Metrics of the machinery: actors and the database.

use std::time::Instant;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{BATCH, By, FAST, Metrics, Table};
use crate::telemetry::labels::{Actor, ConnectionState, TxRetry};

/// Observes the time since its creation when dropped, so a cancelled operation counts too.
#[derive(Debug)]
pub struct DbTimer {
    histogram: Histogram,
    started: Instant,
}

impl Drop for DbTimer {
    fn drop(&mut self) {
        self.histogram.observe(self.started.elapsed().as_secs_f64());
    }
}

pub(super) struct EngineTable {
    tickets: By<IntGauge>,
    shed: By<IntCounter>,
    wait: By<Histogram>,
    batch: By<Histogram>,
    stopped: By<IntCounter>,
    operations: HistogramVec,
    connections: IntGaugeVec,
    connections_max: IntGauge,
    pending: IntGauge,
    retries: IntCounterVec,
}

impl EngineTable {
    pub(super) fn new(table: &Table<'_>) -> Result<Self, prometheus::Error> {
        let actor = ["actor"];
        let tickets =
            table.gauges("signet_actor_tickets_in_use", "Messages an actor has accepted and not answered.", &actor)?;
        let shed = table
            .counters(Opts::new("signet_actor_shed_total", "Messages refused because the mailbox was full."), &actor)?;
        let wait = table.histograms(
            Opts::new("signet_actor_wait_seconds", "Seconds from a message's ticket to its answer."),
            FAST,
            &actor,
        )?;
        let batch = table.histograms(
            Opts::new("signet_actor_batch_size", "Messages answered by one commit."),
            BATCH,
            &actor,
        )?;
        let stopped = table
            .counters(Opts::new("signet_actor_stopped_total", "Actors that stopped outside of a shutdown."), &actor)?;
        let this = Self {
            tickets: By::label(&tickets, Actor::ALL, Actor::as_str),
            shed: By::label(&shed, Actor::ALL, Actor::as_str),
            wait: By::label(&wait, Actor::ALL, Actor::as_str),
            batch: By::label(&batch, Actor::ALL, Actor::as_str),
            stopped: By::label(&stopped, Actor::ALL, Actor::as_str),
            operations: table.histograms(
                Opts::new("db_client_operation_duration_seconds", "Seconds of database operations."),
                FAST,
                &["db_operation_name"],
            )?,
            connections: table.gauges("db_client_connection_count", "Pooled connections.", &["state"])?,
            connections_max: table.gauge("db_client_connection_max", "Most connections the pool opens.")?,
            pending: table
                .gauge("db_client_connection_pending_requests", "Requests waiting for a pooled connection.")?,
            retries: table.counters(
                Opts::new("signet_db_tx_retries_total", "Transactions run again after a conflict."),
                &["reason"],
            )?,
        };
        this.first_series();
        Ok(this)
    }

    fn first_series(&self) {
        for state in ConnectionState::ALL {
            let _ = self.connections.with_label_values(&[state.as_str()]);
        }
        for reason in TxRetry::ALL {
            let _ = self.retries.with_label_values(&[reason.as_str()]);
        }
        // The readiness check of every store: the one operation known before the store names its own.
        let _ = self.operations.with_label_values(&["ping"]);
    }
}

impl Metrics {
    /// An actor accepted a message: one more ticket is out.
    pub fn actor_ticket_taken(&self, actor: Actor) {
        self.engine.tickets.with(actor.place(), |series| series.inc());
    }

    /// An actor answered, or its caller went away: the ticket is back.
    pub fn actor_ticket_returned(&self, actor: Actor) {
        self.engine.tickets.with(actor.place(), |series| series.dec());
    }

    /// A message was refused because every ticket was out.
    pub fn actor_shed(&self, actor: Actor) {
        self.engine.shed.with(actor.place(), |series| series.inc());
    }

    /// Seconds a caller waited for an actor's answer.
    pub fn actor_wait(&self, actor: Actor, seconds: f64) {
        self.engine.wait.with(actor.place(), |series| series.observe(seconds));
    }

    /// Messages one commit of an actor answered.
    pub fn actor_batch(&self, actor: Actor, messages: u32) {
        self.engine.batch.with(actor.place(), |series| series.observe(f64::from(messages)));
    }

    /// An actor stopped although nobody asked it to.
    pub fn actor_stopped(&self, actor: Actor) {
        self.engine.stopped.with(actor.place(), |series| series.inc());
    }

    /// Creates the series of the store's operations at boot.
    pub fn register_db_operations(&self, names: &[&'static str]) {
        for name in names {
            let _ = self.engine.operations.with_label_values(&[name]);
        }
    }

    /// Times one database operation until the value is dropped. The name is a constant of the store, never SQL text.
    #[must_use]
    pub fn db_operation(&self, name: &'static str) -> DbTimer {
        DbTimer { histogram: self.engine.operations.with_label_values(&[name]), started: Instant::now() }
    }

    /// Publishes the pool's state: idle and used connections, how many there may be, and requests waiting for one.
    pub fn db_pool(&self, idle: usize, used: usize, max: usize, pending: usize) {
        let [idle, used, max, pending] = [idle, used, max, pending].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        self.engine.connections.with_label_values(&[ConnectionState::Idle.as_str()]).set(idle);
        self.engine.connections.with_label_values(&[ConnectionState::Used.as_str()]).set(used);
        self.engine.connections_max.set(max);
        self.engine.pending.set(pending);
    }

    /// Counts one transaction that is run again.
    pub fn db_tx_retry(&self, reason: TxRetry) {
        self.engine.retries.with_label_values(&[reason.as_str()]).inc();
    }
}
