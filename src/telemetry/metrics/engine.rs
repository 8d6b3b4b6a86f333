//! Metrics of the machinery: actors and the database.

use std::time::Instant;

use prometheus::{Histogram, HistogramVec, IntCounter, IntGauge, Opts};

use super::{BATCH, Grid, MACHINERY, Metrics, Table};
use crate::telemetry::labels::{Actor, ConnectionState, Label, TxRetry};

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
    actors: Actors,
    operations: HistogramVec,
    connections: Grid<IntGauge>,
    connections_max: IntGauge,
    pending: IntGauge,
    waits: Histogram,
    retries: Grid<IntCounter>,
}

struct Actors {
    tickets: Grid<IntGauge>,
    tickets_max: Grid<IntGauge>,
    shed: Grid<IntCounter>,
    wait: Grid<Histogram>,
    queue: Grid<Histogram>,
    handle: Grid<Histogram>,
    batch: Grid<Histogram>,
    stopped: Grid<IntCounter>,
}

impl Actors {
    fn new(table: &Table) -> Result<Self, prometheus::Error> {
        let actor = [Actor::label("actor")];
        let gauges = |name: &str, help: &str| table.gauges(name, help, &actor).map(Grid::all);
        let counters = |name: &str, help: &str| table.counters(name, help, &actor).map(Grid::all);
        let histograms = |name: &str, help: &str, buckets| table.histograms(name, help, buckets, &actor);
        Ok(Self {
            tickets: gauges("signet_actor_tickets_in_use", "Messages an actor has accepted and not answered.")?,
            tickets_max: gauges("signet_actor_tickets_max", "Messages an actor accepts at most before it refuses.")?,
            shed: counters("signet_actor_shed_total", "Messages refused because the mailbox was full.")?,
            wait: histograms("signet_actor_wait_seconds", "Seconds from a message's ticket to its answer.", MACHINERY)?,
            queue: histograms(
                "signet_actor_queue_seconds",
                "Seconds from a message's ticket to the begin of the work on it.",
                MACHINERY,
            )?,
            handle: histograms("signet_actor_handle_seconds", "Seconds that a message was worked on.", MACHINERY)?,
            batch: histograms("signet_actor_batch_size", "Messages answered by one commit.", BATCH)?,
            stopped: counters("signet_actor_stopped_total", "Actors that stopped outside of a shutdown.")?,
        })
    }
}

impl EngineTable {
    pub(super) fn new(table: &Table) -> Result<Self, prometheus::Error> {
        let operations = Opts::new("db_client_operation_duration_seconds", "Seconds of database operations.");
        let this = Self {
            actors: Actors::new(table)?,
            operations: table.histogram_vec(operations, MACHINERY, &[Label::open("db_operation_name")])?,
            connections: table
                .gauges("db_client_connection_count", "Pooled connections.", &[ConnectionState::label("state")])?
                .all(),
            connections_max: table.gauge("db_client_connection_max", "Most connections the pool opens.")?,
            pending: table
                .gauge("db_client_connection_pending_requests", "Requests waiting for a pooled connection.")?,
            waits: table.histogram(
                "db_client_connection_wait_time_seconds",
                "Seconds until a pooled connection was there, or none could be had.",
                MACHINERY,
            )?,
            retries: table
                .counters(
                    "signet_db_tx_retries_total",
                    "Transactions run again after a conflict.",
                    &[TxRetry::label("reason")],
                )?
                .all(),
        };
        // The readiness check of every store: the one operation known before the store names its own.
        let _ = this.operations.with_label_values(&["ping"]);
        Ok(this)
    }
}

impl Metrics {
    /// Another mailbox accepts so many messages at most; some actors have one for each worker.
    pub fn actor_tickets(&self, actor: Actor, most: usize) {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.engine.actors.tickets_max.with([actor.place()], |series| series.add(most));
    }

    /// An actor accepted a message: one more ticket is out.
    pub fn actor_ticket_taken(&self, actor: Actor) {
        self.engine.actors.tickets.with([actor.place()], |series| series.inc());
    }

    /// An actor answered, or its caller went away: the ticket is back.
    pub fn actor_ticket_returned(&self, actor: Actor) {
        self.engine.actors.tickets.with([actor.place()], |series| series.dec());
    }

    /// A message was refused because every ticket was out.
    pub fn actor_shed(&self, actor: Actor) {
        self.engine.actors.shed.with([actor.place()], |series| series.inc());
    }

    /// Seconds a caller waited for an actor's answer.
    pub fn actor_wait(&self, actor: Actor, seconds: f64) {
        self.engine.actors.wait.with([actor.place()], |series| series.observe(seconds));
    }

    /// Seconds a message waited before an actor began to work on it.
    pub fn actor_queued(&self, actor: Actor, seconds: f64) {
        self.engine.actors.queue.with([actor.place()], |series| series.observe(seconds));
    }

    /// Seconds an actor worked on a message.
    pub fn actor_handled(&self, actor: Actor, seconds: f64) {
        self.engine.actors.handle.with([actor.place()], |series| series.observe(seconds));
    }

    /// Messages one commit of an actor answered.
    pub fn actor_batch(&self, actor: Actor, messages: u32) {
        self.engine.actors.batch.with([actor.place()], |series| series.observe(f64::from(messages)));
    }

    /// An actor stopped although nobody asked it to.
    pub fn actor_stopped(&self, actor: Actor) {
        self.engine.actors.stopped.with([actor.place()], |series| series.inc());
    }

    /// Times one database operation until the value is dropped. The name is a constant of the store, never SQL text.
    #[must_use]
    pub fn db_operation(&self, name: &'static str) -> DbTimer {
        DbTimer { histogram: self.engine.operations.with_label_values(&[name]), started: Instant::now() }
    }

    /// Sets the state of the connection pool: connections idle and in use, the most it opens, requests waiting for one.
    pub fn db_pool(&self, idle: usize, used: usize, max: usize, pending: usize) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.engine.connections.with([ConnectionState::Idle.place()], |series| series.set(count(idle)));
        self.engine.connections.with([ConnectionState::Used.place()], |series| series.set(count(used)));
        self.engine.connections_max.set(count(max));
        self.engine.pending.set(count(pending));
    }

    /// Seconds a verb waited for a pooled connection.
    pub fn db_connection_waited(&self, seconds: f64) {
        self.engine.waits.observe(seconds);
    }

    /// Counts one transaction that is run again.
    pub fn db_tx_retry(&self, reason: TxRetry) {
        self.engine.retries.with([reason.place()], |series| series.inc());
    }
}
