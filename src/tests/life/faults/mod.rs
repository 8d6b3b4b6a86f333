//! The faults of what Signet stands on, a test for each: whoever is answered is answered the truth, and who cannot be is
//! told so in time. Faults of another kind are with their subject: outages and overload beside this, a replica that dies
//! in `signals` and in the tables of codes and refresh tokens.

mod busy;
mod clock;
mod commit;
mod disk;
mod killed;
mod network;
mod outbox;
mod postgres;
mod process;
mod races;
mod redis;

use std::time::{Duration, Instant};

use super::{series, unavailable};
use crate::harness::{Answer, Database, Peer, Proxy, Server, World};

/// Settings under which nothing is written but what is asked for, and secrets cost little.
const QUIET: [(&str, &str); 2] = [("JANITOR_INTERVAL", "1h"), ("OAUTH2_HASHERS_PBKDF2_ITERATIONS", "10000")];

/// How long after PostgreSQL is there again everything is well: a second, and as much for a machine that does other things.
const HEALED: Duration = Duration::from_secs(2);

/// A server whose way to PostgreSQL leads through a proxy.
struct Stand {
    world: World,
    proxy: Proxy,
}

impl Stand {
    /// On a fresh database of that PostgreSQL.
    async fn on(admin: &str, env: &[(&str, &str)]) -> Self {
        Self::with(admin, "", env).await
    }

    /// The same with more parameters in the server's DSN.
    async fn with(admin: &str, parameters: &str, env: &[(&str, &str)]) -> Self {
        let database = Database::postgres(admin).await;
        Server::migrate(&database.dsn());
        let (host, port) = database.address();
        let proxy = Proxy::to(&host, port).unwrap();
        let dsn = format!("{}{parameters}", database.dsn_through(proxy.port));
        let server = Server::start(&dsn, None, &[QUIET.as_slice(), env].concat()).await;
        Self { world: World::of(vec![server], database), proxy }
    }

    fn peer(&self) -> &Peer {
        &self.world.a
    }
}

/// Asks until the answer is 200, which it must be within that time; others must be 503. How many those were.
async fn healed(what: &str, within: Duration, mut ask: impl AsyncFnMut() -> Answer) -> usize {
    let (began, mut refused) = (Instant::now(), 0);
    loop {
        let answer = ask().await;
        if answer.status == 200 {
            println!("{what}: well after {:?} and {refused} refusals", began.elapsed());
            return refused;
        }
        unavailable(what, &answer);
        refused += 1;
        assert!(began.elapsed() < within, "{what}: not well after {:?}: {}", began.elapsed(), answer.brief());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One number from a database.
async fn number(database: &Database, sql: &str) -> i64 {
    database.client().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// Families that belong to one user's grant and were not ended.
async fn living_grants(database: &Database) -> i64 {
    number(database, "SELECT count(*) FROM token_family WHERE NOT shared AND revoked_at IS NULL").await
}
