//! Tables of cases: every case runs, each failure is reported under its id, and then the test fails once.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::{Database, Peer, Redis, Scrape, Server, postgres};

/// Settings of a world with a Redis: for so long an answer may be told, and Redis may take what it needs.
const CACHED: [(&str, &str); 2] = [("INTROSPECTION_STALENESS", "4s"), ("REDIS_TIMEOUT", "1s")];

/// One row of a table: an id, what it is about, and the steps.
pub struct Case {
    pub id: &'static str,
    pub about: &'static str,
    pub steps: for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

/// The servers that a table is played on. `a` and `b` are one replica on SQLite, two on PostgreSQL.
pub struct World {
    pub a: Peer,
    pub b: Peer,
    pub database: Database,
    /// What both ask before the database, if anything.
    pub redis: Option<Redis>,
    _servers: Vec<Server>,
}

impl World {
    /// One replica on a SQLite file.
    pub async fn sqlite(env: &[(&str, &str)]) -> Self {
        Self::on(Database::sqlite(), 1, env).await
    }

    /// Two replicas on one PostgreSQL database, or nothing where there is no PostgreSQL to test on.
    pub async fn postgres(env: &[(&str, &str)]) -> Option<Self> {
        let database = Database::postgres(&postgres()?).await;
        Some(Self::on(database, 2, env).await)
    }

    async fn on(database: Database, replicas: usize, env: &[(&str, &str)]) -> Self {
        let dsn = database.dsn();
        Server::migrate(&dsn);
        let first = Server::start(&dsn, None, env).await;
        let mut servers = vec![first];
        for _ in 1..replicas {
            let issuer = format!("{}/", servers[0].peer.public);
            servers.push(Server::start(&dsn, Some(&issuer), env).await);
        }
        Self::of(servers, database)
    }

    /// These replicas of one database.
    pub fn of(servers: Vec<Server>, database: Database) -> Self {
        let (a, b) = (servers[0].peer.clone(), servers[servers.len() - 1].peer.clone());
        Self { a, b, database, redis: None, _servers: servers }
    }

    /// Two replicas on one PostgreSQL database that answer introspections from a Redis; from the database alone where
    /// there is no Redis to test on, or all are to have a dead one.
    pub async fn cached(env: &[(&str, &str)]) -> Option<Self> {
        let dead = std::env::var_os("SIGNET_TEST_DEAD_REDIS").is_some();
        let Some(redis) = (if dead { None } else { Redis::start() }) else { return Self::postgres(env).await };
        let url = redis.url();
        let own = [("REDIS_URL", url.as_str())];
        let world = Self::postgres(&[env, own.as_slice(), CACHED.as_slice()].concat()).await?;
        let world = Self { redis: Some(redis), ..world };
        let (id, secret) = world.machine().await;
        let token = world.a.token(&id, &secret).await;
        for peer in [&world.a, &world.b] {
            world.cache(peer, &token).await;
        }
        Some(world)
    }

    /// Asks for a token until the answer comes out of Redis, where there is one.
    pub async fn cache(&self, peer: &Peer, token: &str) {
        let (before, began) = (self.hits(peer).await, Instant::now());
        while self.redis.is_some() && self.hits(peer).await == before {
            assert!(peer.is_active(token).await);
            assert!(began.elapsed() < Duration::from_secs(30), "it is never cached");
        }
    }

    /// How often that replica has answered out of Redis.
    pub async fn hits(&self, peer: &Peer) -> u64 {
        if self.redis.is_none() {
            return 0;
        }
        Scrape::of(peer).await.series("signet_introspection_cache_total{result=\"redis\"}") as u64
    }

    /// A fresh client-credentials client: its id and secret.
    pub async fn machine(&self) -> (String, String) {
        self.a.machine().await
    }

    /// The same with some members replaced.
    pub async fn machine_with(&self, over: serde_json::Value) -> (String, String) {
        self.a.machine_with(over).await
    }

    /// The issuer of both replicas.
    pub fn issuer(&self) -> String {
        format!("{}/", self.a.public)
    }
}

/// Plays every case on these servers; fails at the end with all that went wrong.
pub async fn play(world: &World, table: &[Case]) {
    let mut wrong = Vec::new();
    for case in table {
        match AssertUnwindSafe((case.steps)(world)).catch_unwind().await {
            Ok(()) => println!("{} ok: {}", case.id, case.about),
            Err(panic) => wrong.push(format!("{} {}: {}", case.id, case.about, text_of(&*panic))),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases failed:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// A table for [`play`]: `cases! { "D01" "about" => steps, … }`, each `steps` an `async fn(&World)`.
macro_rules! cases {
    ($($id:literal $about:literal => $steps:path),* $(,)?) => {
        [$($crate::harness::Case { id: $id, about: $about, steps: |world| Box::pin($steps(world)) }),*]
    };
}
pub(crate) use cases;
