//! Moving from Ory Hydra: its database is read, and what has a place here is written into ours.
//!
//! Invariant: whatever is read ends in the report, taken over or not and then with the reason. A second run changes only
//! what Hydra changed since; what was changed here after that stays as it is here.

mod clients;
mod consents;
mod keys;
mod report;
mod subjects;

use report::Fate;
pub use report::{HydraReport, Remark, Tally};

use super::system::{OsEntropy, SystemClock};
use crate::actors::key_manager::KeyVault;
use crate::config::Settings;
use crate::crypto::hydra::HydraSecrets;
use crate::crypto::seal::{Sealer, Secrets};
use crate::domain::client_metadata::MetadataRules;
use crate::domain::hydra::Row;
use crate::domain::world::{Entropy, Timestamp};
use crate::store::{self, HydraRow, HydraTable, OpenOptions, Store};
use crate::telemetry::metrics::Metrics;
use anyhow::bail;
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits for this but the one who asked, so a statement may take its time.
const STATEMENT: Duration = Duration::from_secs(60);
/// Reads and writes under way at once, each on a connection of its own.
const AT_ONCE: usize = 8;

/// What is to be moved from where.
pub struct HydraMove {
    /// The settings of the servers that it is for.
    pub settings: Settings,
    /// The DSN of Hydra's database.
    pub from: String,
    /// Hydra's `secrets.system`, all of them.
    pub secrets: Vec<String>,
    /// Which parts.
    pub parts: Vec<HydraTable>,
    /// Write nothing.
    pub dry_run: bool,
}

/// Who takes over what was read.
struct Mover {
    store: Arc<dyn Store>,
    vault: KeyVault,
    sessions: Sealer,
    entropy: Arc<dyn Entropy>,
    rules: MetadataRules,
    secrets: HydraSecrets,
    dry_run: bool,
    /// By the clock of our database.
    now: Timestamp,
    /// Keys are judged by sets, when all were read.
    keys: Vec<Row>,
    consents: consents::Before,
    report: HydraReport,
}

/// Moves, and tells the report so far after each batch.
pub(super) async fn take_over(asked: &HydraMove, tell: &mut impl FnMut(&HydraReport)) -> anyhow::Result<HydraReport> {
    if asked.from.trim() == asked.settings.dsn.trim() {
        bail!("both DSNs are the same: give a database of its own as dsn, and Hydra's with --from");
    }
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"))?;
    let store = store::open(OpenOptions {
        dsn: asked.settings.dsn.clone(),
        max_conns: AT_ONCE,
        statement_timeout: STATEMENT,
        access_token_life: Duration::ZERO,
        clock: Arc::new(SystemClock),
        metrics: Arc::clone(&metrics),
        cache: None,
    })
    .await?;
    let moved = read_all(asked, Arc::clone(&store), metrics, tell).await;
    store.close().await;
    moved
}

async fn read_all(
    asked: &HydraMove,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    tell: &mut impl FnMut(&HydraReport),
) -> anyhow::Result<HydraReport> {
    let secrets = Secrets::new(&asked.settings.secrets.system)?;
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let sealer = secrets.sealer("jwk");
    let mut mover = Mover {
        now: store.ping().await?,
        vault: KeyVault { store: Arc::clone(&store), sealer, entropy: Arc::clone(&entropy), metrics },
        sessions: secrets.sealer("row/session"),
        store,
        entropy,
        rules: super::rules::rules(&asked.settings).metadata,
        secrets: HydraSecrets::new(&asked.secrets),
        dry_run: asked.dry_run,
        keys: Vec::new(),
        consents: consents::Before::default(),
        report: HydraReport::of(&asked.parts),
    };
    mover.opens_what_is_here().await?;
    let mut take = async |table: HydraTable, rows: Vec<HydraRow>| {
        mover.take(table, rows.into_iter().map(Row).collect()).await?;
        tell(&mover.report);
        anyhow::Ok(())
    };
    let read = store::read_hydra(&asked.from, &asked.parts, &mut take).await;
    let done = match read {
        Ok(()) => mover.take_keys().await,
        failed => failed,
    };
    match (done, mover.report.written()) {
        (Ok(()), _) => Ok(mover.report),
        (Err(error), written) if written > 0 && !asked.dry_run => {
            Err(error.context(format!("{written} rows were taken over and stay; mend this and run it again")))
        }
        (Err(error), _) => Err(error),
    }
}

impl Mover {
    /// What is sealed here now must open, or the servers use another secret than this command.
    async fn opens_what_is_here(&self) -> anyhow::Result<()> {
        let sets = self.store.key_sets().await?;
        let rows = self.store.keys(&sets).await?;
        match rows.iter().find(|row| KeyVault::opened(&self.vault.sealer, row).is_none()) {
            None => Ok(()),
            Some(row) => bail!(
                "the key {} of set {} in this database does not open: is secrets.system here the one that its servers have?",
                row.kid,
                row.set
            ),
        }
    }

    async fn take(&mut self, table: HydraTable, rows: Vec<Row>) -> anyhow::Result<()> {
        match table {
            HydraTable::Clients => self.take_clients(&rows).await,
            HydraTable::Keys => {
                self.keys.extend(rows);
                Ok(())
            }
            HydraTable::Subjects => self.take_subjects(&rows).await,
            HydraTable::Consents => self.take_consents(&rows).await,
            HydraTable::Issuers => {
                rows.iter().for_each(|row| self.leave_issuer(row));
                Ok(())
            }
        }
    }

    /// There is no place for it yet.
    fn leave_issuer(&mut self, row: &Row) {
        if row.moment("expires_at").is_ok_and(|ends| ends.is_none_or(|ends| ends > self.now)) {
            let why =
                "the JWT bearer grant is not served here; its public key is among the keys, in the set of its name";
            self.report.add(HydraTable::Issuers, row.text("issuer"), Fate::Left(why.to_owned()));
        }
    }
}
