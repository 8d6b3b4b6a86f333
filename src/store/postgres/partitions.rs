//! The partitions of `access_token` in PostgreSQL: one for each hour in which tokens end, made ahead and dropped when
//! the hour is over, and one for tokens without an hour, whose rows are deleted.
//!
//! Invariant: a partition's name ends with the number of its hour in hexadecimal, and so begin the keys of its rows.
//! Making one waits for no reader or writer, and makes none wait. Dropping one makes them wait for as long as it waits
//! itself, which is hardly.

use super::faults::Fault;
use super::rows;
use super::sweep::leased;
use super::{LOCK_CLASS, LOCK_PARTITIONS};
use crate::domain::token::expiry_hour::ExpiryHour;
use crate::domain::world::Timestamp;
use deadpool_postgres::Object;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::GenericClient;

/// An hour stays for so long after its end: a replica whose clock is late may still issue a token of it.
const MARGIN: Duration = Duration::from_secs(600);

/// How many rows there are, nobody counts before they go: that would be the work that is saved. The statistics know it
/// well enough, but for what was written in the last seconds or before a crash.
const PRESENT: &str = "
    SELECT clock_timestamp() AS now, c.relname, pg_stat_get_live_tuples(c.oid) AS rows
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'access_token'::regclass ORDER BY c.relname";

/// What there is.
struct Present {
    now: Timestamp,
    /// With the number of their rows.
    hours: Vec<(ExpiryHour, u64)>,
}

impl Present {
    fn lacks(&self, hour: ExpiryHour) -> bool {
        hour != ExpiryHour::NONE && self.hours.iter().all(|(there, _)| *there != hour)
    }
}

async fn present(db: &impl GenericClient) -> Result<Present, Fault> {
    let mut all = Present { now: Timestamp::default(), hours: Vec::new() };
    for row in db.query(PRESENT, &[]).await? {
        all.now = rows::moment(&row, "now")?;
        let number = row.try_get::<_, &str>("relname")?.rsplit_once('_').map(|(_, hex)| u16::from_str_radix(hex, 16));
        if let Some(Ok(number)) = number {
            all.hours.push((ExpiryHour::of_number(number), row.try_get::<_, i64>("rows")?.unsigned_abs()));
        }
    }
    Ok(all)
}

/// The names of the hours that were over before that moment.
pub(super) async fn over(db: &impl GenericClient, before: Timestamp) -> Result<Vec<String>, Fault> {
    let there = present(db).await?.hours.into_iter();
    Ok(there
        .filter(|(hour, _)| hour.is_over(before))
        .map(|(hour, _)| format!("access_token_{:04x}", hour.number()))
        .collect())
}

const LOCK: &str = "SELECT pg_advisory_xact_lock($1, $2)";

/// Made beside the table and then attached, which lets everybody go on reading and writing.
fn making(hour: ExpiryHour) -> String {
    let number = hour.number();
    format!(
        "CREATE TABLE access_token_{number:04x} (LIKE access_token INCLUDING ALL);
         ALTER TABLE access_token ATTACH PARTITION access_token_{number:04x}
         FOR VALUES FROM ('\\x{number:04x}') TO ('\\x{:04x}')",
        number.saturating_add(1)
    )
}

/// Makes those that are not there, in a transaction. Who waited for another one finds it done.
pub(super) async fn make(tx: &impl GenericClient, hours: impl IntoIterator<Item = ExpiryHour>) -> Result<(), Fault> {
    tx.query(LOCK, &[&LOCK_CLASS, &LOCK_PARTITIONS]).await?;
    let there = present(tx).await?;
    for hour in hours.into_iter().filter(|hour| there.lacks(*hour)).collect::<BTreeSet<_>>() {
        tx.batch_execute(&making(hour)).await?;
    }
    Ok(())
}

/// Makes those for tokens of that life that are issued soon.
pub(super) async fn make_ahead(tx: &impl GenericClient, life: Duration) -> Result<(), Fault> {
    let now = present(tx).await?.now;
    make(tx, ExpiryHour::ahead(now, life)).await
}

/// Makes what a write has missed: nobody has swept for hours, or this process's clock is far off.
pub(super) async fn make_missed(conn: &mut Object, hours: impl Iterator<Item = ExpiryHour>) -> Result<(), Fault> {
    let tx = conn.transaction().await?;
    make(&*tx, hours).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes the hours ahead and drops those that are over; how many rows went with them.
pub(super) async fn keep(conn: &mut Object, life: Duration) -> Result<u64, Fault> {
    let there = present(&***conn).await?;
    if ExpiryHour::ahead(there.now, life).any(|hour| there.lacks(hour)) {
        let tx = conn.transaction().await?;
        make_ahead(&*tx, life).await?;
        tx.commit().await?;
    }
    let mut gone = 0;
    for (hour, rows) in there.hours {
        if hour.is_over(there.now.minus(MARGIN)) && drop_hour(conn, hour).await? {
            gone += rows;
        }
    }
    Ok(gone)
}

/// Drops one, unless somebody is reading or writing for long, or another replica sweeps. All others wait as long as
/// this waits, so it does not wait long: the next sweep tries again.
async fn drop_hour(conn: &mut Object, hour: ExpiryHour) -> Result<bool, Fault> {
    let tx = conn.transaction().await?;
    if !leased(&tx).await? {
        return Ok(false);
    }
    let dropping = format!("SET LOCAL lock_timeout = '100ms'; DROP TABLE IF EXISTS access_token_{:04x}", hour.number());
    match tx.batch_execute(&dropping).await.map_err(Fault::from) {
        Err(fault) if fault.is_lock_timeout() => return Ok(false),
        outcome => outcome?,
    }
    tx.commit().await?;
    Ok(true)
}
