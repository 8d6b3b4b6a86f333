//! ClientRegistry: owns one worker's shelf of parsed clients. A hit is a map lookup on the worker's own thread; a miss
//! asks the actor, which loads once for all who wait. The change feed makes it forget; an entry dies after
//! `SHELF_LIFE` anyway. What it says may be a moment old: an order to issue carries the version it was decided on,
//! and the store compares. Who asks for a fresh client, or asks after a change was heard, never joins an older load.

use super::mailbox::{Admitted, Alive, Mailbox};
use crate::domain::client::{Client, RegisteredClient};
use crate::store::{Change, ClientRecord, Store, StoreError};
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use lru::LruCache;
use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

/// A client as it was loaded, or the knowledge that there is none.
pub type Found = Option<Arc<RegisteredClient>>;

/// An entry is loaded again after this time, whatever the feed said.
const SHELF_LIFE: Duration = Duration::from_secs(30);
/// Clients kept by each worker.
const SHELF_SIZE: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");
/// Loads that may be waited for at once, by worker.
const TICKETS: usize = 1024;
/// How long a load may take.
const PATIENCE: Duration = Duration::from_secs(3);

type Shelf = Rc<RefCell<LruCache<String, (Arc<RegisteredClient>, Instant)>>>;

/// A worker's way to its clients; never leaves its thread.
#[derive(Clone)]
pub struct Clients {
    shelf: Shelf,
    registry: Mailbox<ClientRegistry>,
}

/// Why a client could not be looked up. Never "there is no such client".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mailbox.
    #[error(transparent)]
    Ask(#[from] super::mailbox::AskError),
}

impl Clients {
    /// Starts the registry of the calling worker thread.
    pub fn start(store: Arc<dyn Store>, dead: CancellationToken, metrics: Arc<Metrics>) -> Self {
        let shelf: Shelf = Rc::new(RefCell::new(LruCache::new(SHELF_SIZE)));
        let changes = store.changes();
        let alive = Alive::new(dead, labels::Actor::ClientRegistry, Arc::clone(&metrics));
        let addr = ClientRegistry {
            store,
            shelf: Rc::clone(&shelf),
            flights: HashMap::new(),
            generation: 0,
            changes: Some(changes),
            alive,
        }
        .start();
        Self { shelf, registry: Mailbox::new(addr, labels::Actor::ClientRegistry, TICKETS, PATIENCE, metrics) }
    }

    /// The client of that id, from the shelf if it is there. Absence is never remembered.
    ///
    /// # Errors
    /// [`LookupError`] when nobody can say.
    pub async fn get(&self, id: &str) -> Result<Found, LookupError> {
        if let Some((client, since)) = self.shelf.borrow_mut().get(id)
            && since.elapsed() < SHELF_LIFE
        {
            return Ok(Some(Arc::clone(client)));
        }
        Ok(self.registry.ask(Load { id: id.to_owned(), fresh: false }).await??)
    }

    /// Forgets a client that turned out to be out of date, and loads it again: the load begins after this call.
    ///
    /// # Errors
    /// [`LookupError`] when nobody can say.
    pub async fn get_fresh(&self, id: &str) -> Result<Found, LookupError> {
        self.shelf.borrow_mut().pop(id);
        Ok(self.registry.ask(Load { id: id.to_owned(), fresh: true }).await??)
    }

    /// Whether the store has another version of a client than the one that a refusal was decided on. Unlike
    /// [`Self::get_fresh`] it takes nothing from the shelf, so that wrong guesses cost the honest ones no load.
    ///
    /// # Errors
    /// [`LookupError`] when nobody can say.
    pub async fn has_changed(&self, id: &str, version: i64) -> Result<bool, LookupError> {
        let newest = self.registry.ask(Load { id: id.to_owned(), fresh: true }).await??;
        Ok(newest.is_none_or(|client| client.version != version))
    }
}

#[derive(Message)]
#[rtype(result = "Result<Found, StoreError>")]
struct Load {
    id: String,
    fresh: bool,
}

/// Somebody who waits for a load.
struct Waiter {
    reply: oneshot::Sender<Result<Found, StoreError>>,
    /// The load's span belongs below that of the first who waits for it.
    span: Span,
}

/// A load under way.
struct Flight {
    /// The count of changes when it began.
    begun: u64,
    /// Who gets what it finds.
    waiting: Vec<Waiter>,
    /// Who came too late to be told something that old: the next load is theirs.
    next: Vec<Waiter>,
}

/// The actor.
pub struct ClientRegistry {
    store: Arc<dyn Store>,
    shelf: Shelf,
    flights: HashMap<String, Flight>,
    /// Counts changes: a load begun before a change may not be shelved after it.
    generation: u64,
    changes: Option<broadcast::Receiver<Change>>,
    alive: Alive,
}

impl ClientRegistry {
    fn load(&mut self, id: String, waiting: Vec<Waiter>, ctx: &mut Context<Self>) {
        let (store, key, begun) = (Arc::clone(&self.store), id.clone(), self.generation);
        let span = waiting.first().map_or_else(Span::none, |first| first.span.clone());
        self.flights.insert(id.clone(), Flight { begun, waiting, next: Vec::new() });
        let load = async move { store.client(&key).await.and_then(|r| r.map(|r| parse(&r)).transpose()) };
        ctx.spawn(load.instrument(span).into_actor(self).map(move |found, this, ctx| {
            if let (Ok(Some(client)), true) = (&found, begun == this.generation) {
                this.shelf.borrow_mut().put(id.clone(), (Arc::clone(client), Instant::now()));
            }
            let Some(flight) = this.flights.remove(&id) else { return };
            for waiter in flight.waiting {
                let _ = waiter.reply.send(found.clone());
            }
            if !flight.next.is_empty() {
                this.load(id, flight.next, ctx);
            }
        }));
    }

    fn forget(&mut self, change: Result<Change, broadcast::error::RecvError>) -> bool {
        match change {
            Ok(Change::Client(id)) => {
                self.generation += 1;
                self.shelf.borrow_mut().pop(&id);
            }
            Ok(Change::All) | Err(broadcast::error::RecvError::Lagged(_)) => {
                self.generation += 1;
                self.shelf.borrow_mut().clear();
            }
            Ok(Change::Keys) => {}
            Err(broadcast::error::RecvError::Closed) => return false,
        }
        true
    }

    fn listen(&self, mut changes: broadcast::Receiver<Change>, ctx: &mut Context<Self>) {
        let next = async move { (changes.recv().await, changes) };
        ctx.spawn(next.into_actor(self).map(|(change, changes), this, ctx| {
            if this.forget(change) {
                this.listen(changes, ctx);
            }
        }));
    }
}

/// A client from its row.
///
/// # Errors
/// [`StoreError::Corrupt`] when the document is not a client's.
pub fn parse(record: &ClientRecord) -> Result<Arc<RegisteredClient>, StoreError> {
    let client =
        Client::from_document(&record.document).map_err(|e| StoreError::Corrupt(format!("client document: {e}")))?;
    Ok(Arc::new(RegisteredClient {
        client,
        secret_hash: record.secret_hash.clone(),
        rotated_secret_hashes: record.rotated_secret_hashes.clone(),
        family_id: record.family_id,
        has_remembered_consent: record.has_remembered_consent,
        version: record.version,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }))
}

impl Actor for ClientRegistry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(changes) = self.changes.take() {
            self.listen(changes, ctx);
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.alive.farewell();
    }
}

impl Handler<Admitted<Load>> for ClientRegistry {
    type Result = ResponseFuture<Result<Found, StoreError>>;

    fn handle(&mut self, m: Admitted<Load>, ctx: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        let (Load { id, fresh }, ticket, span) = m.open();
        let waiter = Waiter { reply, span };
        match self.flights.get_mut(&id) {
            Some(flight) if fresh || flight.begun != self.generation => flight.next.push(waiter),
            Some(flight) => flight.waiting.push(waiter),
            None => self.load(id, vec![waiter], ctx),
        }
        Box::pin(async move {
            let found = answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the registry ended".to_owned())));
            drop(ticket);
            found
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests;
