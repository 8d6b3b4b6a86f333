//! The one door to an actor: a ticket for every message, patience for every answer.
//!
//! actix has neither working back-pressure nor a restart after a panic. Tickets bound the work (the ticket rides in the
//! message and comes back when the work ends, not when the caller gives up); [`Alive`] tells the process that an actor
//! has died, so that it leaves rotation instead of staying half alive.

use crate::store::deadline;
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces;
use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, MailboxError, Message};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Why an actor did not answer. Each is answered 503 with `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too much work is waiting; nothing was done.
    #[error("too many requests are waiting")]
    Overloaded,
    /// No answer in time; the work may still be done.
    #[error("no answer in time")]
    TimedOut,
    /// The actor has ended.
    #[error("the process is stopping")]
    Stopped,
}

/// A right to be worked for; returns itself when dropped.
pub struct Ticket {
    _permit: OwnedSemaphorePermit,
    actor: labels::Actor,
    metrics: Arc<Metrics>,
    taken: Instant,
    begun: Option<Instant>,
}

impl Ticket {
    /// The work on its message begins, so that the time until now was a wait and that from now on is work.
    pub fn begin(&mut self) {
        let now = Instant::now();
        self.metrics.actor_queued(self.actor, now.duration_since(self.taken).as_secs_f64());
        self.begun = Some(now);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(begun) = self.begun {
            self.metrics.actor_handled(self.actor, begun.elapsed().as_secs_f64());
        }
        self.metrics.actor_ticket_returned(self.actor);
    }
}

/// A message that was let in.
pub struct Admitted<M> {
    msg: M,
    ticket: Ticket,
    /// The caller's wait, under which the work belongs: an actor's thread knows nothing of it. None outside of a
    /// traced request.
    span: Span,
}

impl<M> Admitted<M> {
    /// The message, the ticket to hold until it is answered, and the span of the caller's wait, which says from now on
    /// how much of it was spent in the mailbox.
    pub fn open(self) -> (M, Ticket, Span) {
        if !self.span.is_disabled() {
            self.span.set_attribute("signet.mailbox.wait", self.ticket.taken.elapsed().as_secs_f64());
        }
        (self.msg, self.ticket, self.span)
    }
}

impl<M: Message> Message for Admitted<M>
where
    M::Result: 'static,
{
    type Result = M::Result;
}

/// The address of an actor behind its tickets.
pub struct Mailbox<A: Actor> {
    addr: Addr<A>,
    tickets: Arc<Semaphore>,
    patience: Duration,
    actor: labels::Actor,
    metrics: Arc<Metrics>,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self {
            addr: self.addr.clone(),
            tickets: Arc::clone(&self.tickets),
            patience: self.patience,
            actor: self.actor,
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl<A: Actor> Mailbox<A> {
    /// `tickets` is how many messages may be waited for at once, `patience` how long each may take.
    pub fn new(addr: Addr<A>, actor: labels::Actor, tickets: usize, patience: Duration, metrics: Arc<Metrics>) -> Self {
        metrics.actor_tickets(actor, tickets);
        Self { addr, tickets: Arc::new(Semaphore::new(tickets)), patience, actor, metrics }
    }

    /// Sends a message and waits for its answer.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask<M>(&self, msg: M) -> Result<M::Result, AskError>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        A: Handler<Admitted<M>>,
        A::Context: ToEnvelope<A, Admitted<M>>,
    {
        let permit = Arc::clone(&self.tickets).try_acquire_owned().map_err(|_| {
            self.metrics.actor_shed(self.actor);
            AskError::Overloaded
        })?;
        self.metrics.actor_ticket_taken(self.actor);
        let (since, metrics) = (Instant::now(), Arc::clone(&self.metrics));
        let ticket = Ticket { _permit: permit, actor: self.actor, metrics, taken: since, begun: None };
        let span = ask_span(self.actor);
        let message = Admitted { msg, ticket, span: span.clone() };
        let answer = self.addr.send(message).timeout(deadline::left(self.patience)).instrument(span.clone()).await;
        self.metrics.actor_wait(self.actor, since.elapsed().as_secs_f64());
        answer.map_err(|e| {
            let (why, name) = match e {
                MailboxError::Timeout => (AskError::TimedOut, "timeout"),
                MailboxError::Closed => (AskError::Stopped, "stopped"),
            };
            traces::fail(&span, name);
            why
        })
    }
}

/// At debug level, so that a log at `info` does not pay for spans it never shows.
fn ask_span(actor: labels::Actor) -> Span {
    if !traces::inside_a_span() {
        return Span::none();
    }
    let name = match actor {
        labels::Actor::ClientRegistry => "actor.client_registry.ask",
        labels::Actor::FlowCoordinator => "actor.flow_coordinator.ask",
        labels::Actor::TokenIssuer => "actor.token_issuer.ask",
        labels::Actor::KeyManager => "actor.key_manager.ask",
        labels::Actor::Janitor => "actor.janitor.ask",
    };
    tracing::debug_span!("actor.ask", otel.name = name, signet.actor = actor.as_str())
}

/// Held by every actor. Dropped without a farewell, which is what a panic does, it takes the process out of rotation.
pub struct Alive {
    dead: CancellationToken,
    actor: labels::Actor,
    metrics: Arc<Metrics>,
    farewell: bool,
}

impl Alive {
    /// `dead` is cancelled when the actor dies.
    pub const fn new(dead: CancellationToken, actor: labels::Actor, metrics: Arc<Metrics>) -> Self {
        Self { dead, actor, metrics, farewell: false }
    }

    /// The actor is about to end as it should.
    pub const fn farewell(&mut self) {
        self.farewell = true;
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if !self.farewell {
            self.metrics.actor_stopped(self.actor);
            self.dead.cancel();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use actix::{Context, ResponseFuture};

    struct Slow(Alive);
    impl Actor for Slow {
        type Context = Context<Self>;
    }
    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Wait(u64);
    impl Handler<Admitted<Wait>> for Slow {
        type Result = ResponseFuture<u32>;
        fn handle(&mut self, m: Admitted<Wait>, _: &mut Self::Context) -> Self::Result {
            Box::pin(async move {
                let (Wait(millis), ticket, _) = m.open();
                tokio::time::sleep(Duration::from_millis(millis)).await;
                drop(ticket);
                7
            })
        }
    }
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Boom;
    impl Handler<Admitted<Boom>> for Slow {
        type Result = ();
        fn handle(&mut self, _: Admitted<Boom>, _: &mut Self::Context) {
            let _ = &self.0;
            panic!("on purpose");
        }
    }

    fn mailbox(tickets: usize, patience: Duration) -> (Mailbox<Slow>, CancellationToken) {
        let (dead, metrics) = (CancellationToken::new(), Metrics::new("test").unwrap());
        let addr = Slow(Alive::new(dead.clone(), labels::Actor::TokenIssuer, Arc::clone(&metrics))).start();
        (Mailbox::new(addr, labels::Actor::TokenIssuer, tickets, patience, metrics), dead)
    }

    #[actix_web::test]
    async fn a_full_mailbox_sheds_at_once_and_tickets_come_back() {
        let (mailbox, _) = mailbox(4, Duration::from_secs(5));
        let all = futures_util::future::join_all((0..20).map(|_| mailbox.ask(Wait(20)))).await;
        assert_eq!(all.iter().filter(|r| **r == Ok(7)).count(), 4);
        assert_eq!(all.iter().filter(|r| **r == Err(AskError::Overloaded)).count(), 16);
        assert_eq!(mailbox.ask(Wait(0)).await, Ok(7));
    }

    #[actix_web::test]
    async fn patience_ends() {
        let (mailbox, _) = mailbox(4, Duration::from_millis(10));
        assert_eq!(mailbox.ask(Wait(500)).await, Err(AskError::TimedOut));
    }

    #[actix_web::test]
    async fn a_panic_is_told_to_the_process() {
        let (dead, metrics) = (CancellationToken::new(), Metrics::new("test").unwrap());
        let (d, m) = (dead.clone(), Arc::clone(&metrics));
        let arbiter = actix::Arbiter::new();
        let addr =
            Slow::start_in_arbiter(&arbiter.handle(), move |_| Slow(Alive::new(d, labels::Actor::TokenIssuer, m)));
        let mailbox = Mailbox::new(addr, labels::Actor::TokenIssuer, 1, Duration::from_secs(2), metrics);
        assert!(mailbox.ask(Boom).await.is_err());
        dead.cancelled().await;
        arbiter.stop();
    }
}
