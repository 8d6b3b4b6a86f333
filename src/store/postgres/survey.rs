//! What a PostgreSQL database says of itself and of what lies in it.

use super::dsn::Dsn;
use super::faults::{self, Fault};
use super::migrate::{applied, connected, refuse_hydras, text};
use super::partitions;
use super::rows::{self, Moment};
use crate::crypto::seal::{HEAD, MARK};
use crate::domain::world::{Clock, Timestamp};
use crate::store::migrate::{pending, status};
use crate::store::survey::{COUNTING, ENDING, Sealed, ServerSays, Survey};
use crate::store::{Migration, OpenError, StoreError};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const SAYS: &str = "
    SELECT current_setting('server_version'), current_setting('server_version_num')::int,
        current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
        (SELECT count(*) FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND application_name IS DISTINCT FROM 'signet'),
        coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
        current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
        current_setting('synchronous_commit'), pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
        coalesce((SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class
         WHERE oid IN (to_regclass('client'), to_regclass('access_token'))), true)";
const NOW: &str = "SELECT clock_timestamp()";
const KEYS: &str = "
    SELECT set_id, kid, alg, sealed, created_at, activates_at, retires_at
    FROM json_web_key ORDER BY created_at DESC, set_id, kid";

/// A few round trips; the shortest tells how far apart the clocks are.
async fn clock_of(client: &Client, clock: &dyn Clock, found: &mut Survey) -> Result<(), Fault> {
    let now = client.prepare(NOW).await?;
    found.round_trip = Duration::MAX;
    for _ in 0..5 {
        let (asked, began) = (clock.now(), Instant::now());
        let theirs = client.query_one(&now, &[]).await?.try_get::<_, Moment>(0)?.0;
        let took = began.elapsed();
        if took < found.round_trip {
            found.round_trip = took;
            found.ahead = theirs.micros() - asked.plus(took / 2).micros();
        }
    }
    Ok(())
}

async fn says(client: &Client, found: &mut Survey) -> Result<(), Fault> {
    let row = client.query_one(SAYS, &[]).await?;
    found.version = format!("PostgreSQL {}", row.try_get::<_, &str>(0)?);
    found.version_number = row.try_get(1)?;
    found.server = Some(ServerSays {
        max_connections: row.try_get(2)?,
        reserved: row.try_get(3)?,
        others: row.try_get(4)?,
        encrypted: row.try_get(5)?,
        fsync: row.try_get(6)?,
        full_page_writes: row.try_get(7)?,
        synchronous_commit: row.try_get(8)?,
        standby: row.try_get(9)?,
        read_only: row.try_get(10)?,
        owns_tables: row.try_get(11)?,
    });
    Ok(())
}

async fn overdue(client: &Client, before: Timestamp, found: &mut Survey) -> Result<(), Fault> {
    for table in ENDING.iter().chain(&["access_token_ffff"]) {
        let sql = format!("SELECT min(expires_at) FROM {table}");
        let first: Option<Moment> = client.query_one(&sql, &[]).await?.try_get(0)?;
        if let Some(Moment(first)) = first.filter(|Moment(first)| *first < before) {
            found.overdue.push(((*table).to_owned(), first));
        }
    }
    for name in partitions::over(client, before).await? {
        found.overdue.push((name, before));
    }
    Ok(())
}

async fn seals(client: &Client) -> Result<Vec<Sealed>, Fault> {
    let (mut all, (from, length)) = (Vec::new(), MARK);
    client.batch_execute(&format!("SET statement_timeout = {}", COUNTING.as_millis())).await?;
    for table in ["access_token", "refresh_token", "authorization_code", "device"] {
        let sql = format!(
            "SELECT substr(session, {from}, {length}), count(*), CASE WHEN count(expires_at) = count(*) THEN max(expires_at) END
             FROM {table} WHERE octet_length(session) > {HEAD} AND get_byte(session, 0) = 1
                 AND (expires_at IS NULL OR expires_at > clock_timestamp()) GROUP BY 1"
        );
        for row in client.query(&sql, &[]).await? {
            let until = row.try_get::<_, Option<Moment>>(2)?.map(|Moment(at)| at);
            all.push(Sealed { table: table.to_owned(), mark: row.try_get(0)?, rows: row.try_get(1)?, until });
        }
    }
    Ok(all)
}

async fn look(client: &Client, clock: &dyn Clock, before: Timestamp, count_seals: bool) -> Result<Survey, Fault> {
    let mut found = Survey { seals: Some(Vec::new()), ..Survey::default() };
    clock_of(client, clock, &mut found).await?;
    says(client, &mut found).await?;
    let has = applied(client).await?;
    found.migrations = status(&has);
    found.altered = pending(&has, text).err().map(|e| e.to_string());
    // What lies in it is told by the schema that this binary knows.
    if Migration::pending(&found.migrations) == 0 {
        found.keys = client.query(KEYS, &[]).await?.iter().map(rows::key).collect::<Result<_, _>>()?;
        overdue(client, before, &mut found).await?;
        if count_seals {
            found.seals = seals(client).await.ok();
        }
    }
    Ok(found)
}

/// Looks into the database that the DSN names.
pub(in crate::store) async fn survey(
    dsn: &str,
    clock: &dyn Clock,
    before: Timestamp,
    count_seals: bool,
) -> Result<Survey, OpenError> {
    Dsn::parse(dsn)?;
    connected(dsn, async |client| {
        refuse_hydras(client).await?;
        look(client, clock, before, count_seals).await.map_err(|fault| match fault {
            Fault::Driver(error) => faults::open_error(&error),
            other => {
                let StoreError::Corrupt(what) = other.into_store_error() else {
                    return OpenError::new("the database cannot be read", "look at its log");
                };
                OpenError::new(format!("the database holds something unreadable: {what}"), "restore a backup")
            }
        })
    })
    .await
}
