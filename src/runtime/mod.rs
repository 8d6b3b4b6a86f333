//! Boot order, signals, shutdown order. Called by `cli` alone.

mod boot;
mod certificate;
mod doctor;
mod hydra;
mod listen;
mod notify;
pub mod probe;
mod reach;
mod reload;
mod rules;
mod socket_file;
mod sweep;
mod system;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests;

use crate::config::Settings;
use crate::domain::world::Clock;
use crate::store;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{self, labels};
use anyhow::{Context, anyhow, bail};
use listen::Bound;
use std::sync::Arc;
use std::thread::JoinHandle;
use system::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use crate::store::{HydraTable as HydraPart, Migration as MigrationPlan};
pub use doctor::{Asked, CHECKS, Check, Finding, Report, Severity, examine};
pub use hydra::{HydraMove, HydraReport, Remark, Tally};
pub use reload::Reload;
pub use sweep::Swept;

/// Which listeners to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one that is enabled.
    All,
    /// The public one.
    Public,
    /// The admin one.
    Admin,
    /// The gateway one.
    Gateway,
}

impl Which {
    const fn listeners(self) -> &'static [labels::Listener] {
        match self {
            Self::All => &[labels::Listener::Public, labels::Listener::Admin, labels::Listener::Gateway],
            Self::Public => &[labels::Listener::Public],
            Self::Admin => &[labels::Listener::Admin],
            Self::Gateway => &[labels::Listener::Gateway],
        }
    }
}

/// A server on a thread of its own.
pub struct Running {
    /// Where the public listener answers; empty when it is not served.
    pub public_url: String,
    /// Where the admin listener answers; empty when it is not served.
    pub admin_url: String,
    stop: CancellationToken,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Waits until a signal, or the death of a part of it, ends the server.
    ///
    /// # Errors
    /// When it did not end as it should.
    pub fn wait(self) -> anyhow::Result<()> {
        self.thread.join().map_err(|_| anyhow!("the server panicked"))?
    }

    /// Stops the server as a signal does, and waits for its end.
    pub fn stop(self) {
        self.stop.cancel();
        let _ = self.wait();
    }
}

/// Serves until a signal ends it; secrets and certificates that change meanwhile are taken over.
///
/// # Errors
/// One line with the cause: a port in use, a database of another kind.
pub fn serve(settings: Settings, which: Which, reload: Reload) -> anyhow::Result<()> {
    launch(settings, which, Guests { reload: Some(reload), ..Guests::default() })?.wait()
}

/// Starts a server and returns when its listeners answer.
///
/// # Errors
/// As [`serve`].
pub fn start(settings: Settings, which: Which) -> anyhow::Result<Running> {
    launch(settings, which, Guests::default())
}

/// Starts the listeners, and on the public one the demo, whose one user's password stands on its page. Only for
/// development on loopback.
///
/// # Errors
/// As [`start`].
pub fn start_with_demo(settings: Settings) -> anyhow::Result<Running> {
    launch(settings, Which::All, Guests { demo: true, ..Guests::default() })
}

/// What only some servers have.
struct Guests {
    reload: Option<Reload>,
    demo: bool,
    clock: Arc<dyn Clock>,
}

impl Default for Guests {
    fn default() -> Self {
        Self { reload: None, demo: false, clock: Arc::new(SystemClock) }
    }
}

fn launch(settings: Settings, which: Which, guests: Guests) -> anyhow::Result<Running> {
    // Another provider may have been installed by a test of the same process: both are ours.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (told, up) = std::sync::mpsc::channel();
    let stop = CancellationToken::new();
    let token = stop.clone();
    let thread = std::thread::Builder::new()
        .name("signet".to_owned())
        .spawn(move || actix_web::rt::System::new().block_on(live(settings, which, guests, token, told)))?;
    match up.recv() {
        Ok((public_url, admin_url)) => Ok(Running { public_url, admin_url, stop, thread }),
        Err(_) => match thread.join() {
            Ok(Err(error)) => Err(error),
            _ => bail!("the server ended before it was up"),
        },
    }
}

type Told = std::sync::mpsc::Sender<(String, String)>;

async fn live(
    settings: Settings,
    which: Which,
    guests: Guests,
    stop: CancellationToken,
    told: Told,
) -> anyhow::Result<()> {
    let metrics = Metrics::with(env!("CARGO_PKG_VERSION"), settings.hydra_metrics)?;
    let guard = telemetry::init(&rules::telemetry(&settings), &metrics)?;
    let ended = serving(settings, which, guests, (stop, told), metrics).await;
    let _ = tokio::task::spawn_blocking(move || guard.shutdown()).await;
    ended
}

/// Everything but the log.
async fn serving(
    settings: Settings,
    which: Which,
    guests: Guests,
    (stop, told): (CancellationToken, Told),
    metrics: Arc<Metrics>,
) -> anyhow::Result<()> {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let bound = bind(&settings, which)?;
    let url = |listener| bound.iter().find(|b| b.which == listener).map(Bound::url).unwrap_or_default();
    let urls = (url(labels::Listener::Public), url(labels::Listener::Admin));
    let up = boot::up(&settings, metrics, guests.clock).await?;
    let demo = guests.demo.then(|| boot::demo(&up, &urls));
    let (mut handles, mut certificates) = (Vec::new(), Vec::new());
    for listener in bound {
        let (name, at, to) = (listener.which.as_str(), listener.url(), listener.open_to());
        let certificate = listener.certificate()?;
        certificates.extend(certificate.clone().map(|shown| (listener.which, shown)));
        let server = listener.serve(up.app.clone(), demo.clone(), certificate, settings.serve.shutdown_timeout)?;
        handles.push(server.handle());
        actix_web::rt::spawn(server);
        tracing::info!("Setting up http server on {at} ({name}), open to {to}");
    }
    let boot::Up { app, held, .. } = &up;
    if let Some(reload) = guests.reload {
        let live = reload::Live { held: held.clone(), certificates, app: Arc::clone(app), settings: settings.clone() };
        actix_web::rt::spawn(reload::watch(live, reload));
    }
    let mut ends = Ends::new()?;
    if let Some(every) = notify::heartbeat() {
        actix_web::rt::spawn(notify::beat(every));
    }
    notify::ready();
    let _ = told.send(urls);
    let died = tokio::select! {
        () = ends.signalled() => false,
        () = stop.cancelled() => false,
        () = up.app.rotation.dead.cancelled() => true,
    };
    drain(&settings, &up, &mut ends, handles).await;
    up.down().await;
    if died { bail!("a part of the server died; see the log") } else { Ok(()) }
}

fn bind(settings: &Settings, which: Which) -> anyhow::Result<Vec<Bound>> {
    let of = |l: &labels::Listener| Some(Bound::bind(*l, listen::settings_of(&settings.serve, *l)?));
    which.listeners().iter().chain([&labels::Listener::Metrics]).filter_map(of).collect()
}

/// Readiness first, then the time that load balancers need to notice, then no new connections and an end to the
/// requests under way. Every answer on the way says `Connection: close`. A second signal ends it all at once.
async fn drain(settings: &Settings, up: &boot::Up, ends: &mut Ends, handles: Vec<actix_web::dev::ServerHandle>) {
    up.app.rotation.drain();
    up.app.metrics.draining();
    notify::stopping();
    tracing::info!("stopping: not ready from now on");
    let orderly = async {
        tokio::time::sleep(settings.serve.drain_delay).await;
        futures_util::future::join_all(handles.iter().map(|h| h.stop(true))).await;
    };
    tokio::select! {
        () = orderly => {}
        () = ends.signalled() => {
            tracing::warn!("a second signal: stopping at once");
            futures_util::future::join_all(handles.iter().map(|h| h.stop(false))).await;
        }
    }
}

/// SIGTERM and SIGINT.
struct Ends {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Ends {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Applies pending migrations after `ask` agreed to the plan; the plan as it is then.
///
/// # Errors
/// One line with the cause.
pub fn migrate(dsn: &str, mut ask: impl FnMut(&[MigrationPlan]) -> bool + Send) -> anyhow::Result<Vec<MigrationPlan>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(short_lived()?.block_on(store::migrate(dsn, &mut ask))?)
}

/// Every migration that this binary knows, and whether the database has it.
///
/// # Errors
/// One line with the cause.
pub fn migration_status(dsn: &str) -> anyhow::Result<Vec<MigrationPlan>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(short_lived()?.block_on(store::migration_status(dsn))?)
}

/// Deletes what is over, `batch` rows of each kind in a transaction and at most `limit` of each kind; `tell` hears
/// after every transaction how many it were so far.
///
/// # Errors
/// One line with the cause.
pub fn sweep(dsn: &str, batch: u32, limit: u32, mut tell: impl FnMut(&Swept) + Send) -> anyhow::Result<Swept> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    short_lived()?.block_on(sweep::sweep(dsn, batch, limit, &mut tell))
}

/// Takes over what lies in a database of Hydra's; `tell` hears after every batch what became of all so far.
///
/// # Errors
/// One line with the cause: a database of either side, a secret that is not that of our servers.
pub fn move_from_hydra(asked: &HydraMove, mut tell: impl FnMut(&HydraReport)) -> anyhow::Result<HydraReport> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    short_lived()?.block_on(hydra::take_over(asked, &mut tell))
}

fn short_lived() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("cannot start a runtime")
}
