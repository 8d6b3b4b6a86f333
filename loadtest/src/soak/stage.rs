//! Everything that a soak stands on: stores, replicas behind a balancer, clients, and those who watch.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::balancer::{Balancer, Doors};
use super::fleet::{Plan, Replica, migrate};
use super::history::History;
use super::jwks::Jwks;
use super::options::FleetArgs;
use super::play::Log;
use super::receiver::Receiver;
use super::secrets::Rotation;
use super::stores::{Database, Redis};
use super::traffic::pool::Pool;
use super::traffic::{Clients, hand::Hand};
use super::vitals::{self, Vitals};
use crate::http::connection::Wire;
use crate::http::{Call, Origin};
use crate::target::Target;

/// Users that are signed in before the traffic begins.
const SIGNED_IN: usize = 40;
const READY_WITHIN: Duration = Duration::from_secs(30);
const TAKEN_WITHIN: Duration = Duration::from_secs(90);

pub struct Stage {
    pub history: Arc<History>,
    /// Those that run and those that may be added.
    pub replicas: Vec<Arc<Replica>>,
    pub balancer: Arc<Balancer>,
    /// How late the balancer hears of an end.
    pub lag: Duration,
    pub redis: Redis,
    pub database: Database,
    /// The balancer.
    pub target: Target,
    pub jwks: Arc<Jwks>,
    pub vitals: Vitals,
    pub log: Log,
    pub pool: Pool,
    pub secrets: Rotation,
    pub dir: PathBuf,
    clients: OnceLock<Arc<Clients>>,
}

/// What the stage is set up for.
pub struct Setting<'a> {
    pub args: &'a FleetArgs,
    /// Replicas at the beginning, and how many there may ever be.
    pub replicas: u8,
    pub most: u8,
    pub lag: Duration,
    pub dsn: String,
    /// Settings of the replicas.
    pub settings: Vec<(String, String)>,
}

impl Stage {
    /// Starts everything and signs in the first users.
    pub async fn set(setting: Setting<'_>) -> Result<Arc<Self>> {
        if setting.replicas == 0 {
            bail!("--replicas must be at least 1");
        }
        let most = setting.most.max(setting.replicas);
        let args = setting.args;
        let dir = args
            .logs
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("signet-soak-{}", std::process::id())));
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let redis = Redis::start(&args.redis_server, &dir).await?;
        migrate(&args.signet, &setting.dsn)?;
        let (doors, binary) = (Doors::open().await?, absolute(&args.signet)?);
        let receiver = Receiver::open().await?;
        let (public, admin) = doors.ports()?;
        let (dsn, settings) = (setting.dsn.clone(), setting.settings);
        let plan = Plan { binary, dsn, redis_port: redis.port, issuer_port: public, dir: dir.clone(), settings };
        let replicas = (0..most).map(|number| Ok(Arc::new(Replica::new(number, &plan)?)));
        let replicas = replicas.collect::<Result<Vec<_>>>()?;
        for replica in replicas.iter().take(usize::from(setting.replicas)) {
            replica.start().await?;
        }
        let balancer =
            doors.serve(&replicas.iter().map(|replica| (replica.public, replica.admin)).collect::<Vec<_>>())?;
        let origin = |port: u16| Origin::parse(&format!("http://127.0.0.1:{port}"));
        let stage = Arc::new(Self {
            history: Arc::new(History::new()),
            replicas,
            balancer,
            lag: setting.lag,
            redis,
            database: Database { dsn: setting.dsn },
            target: Target { public: origin(public)?, admin: origin(admin)? },
            jwks: Arc::default(),
            vitals: Vitals::default(),
            log: Log::default(),
            pool: Pool::default(),
            secrets: Rotation::default(),
            dir,
            clients: OnceLock::new(),
        });
        stage.ready().await?;
        let clients = Clients::register(&stage.target, receiver.port()?).await?;
        let _ = stage.clients.set(Arc::new(clients));
        receiver.serve(&stage, args.seed);
        stage.sign_in().await?;
        Ok(stage)
    }

    /// The replicas that belong to the fleet now.
    pub fn fleet(&self) -> Vec<Arc<Replica>> {
        self.replicas.iter().filter(|replica| replica.wanted.load(Ordering::Relaxed)).cloned().collect()
    }

    /// Waits until the balancer knows a replica that is ready.
    async fn ready(&self) -> Result<()> {
        let (mut wire, call) = (Wire::default(), Call::get(&self.target.public, "/health/ready"));
        let waits = async {
            while !wire.send(&call).await.is_ok_and(|answer| answer.status == 200) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(READY_WITHIN, waits).await.context("the balancer finds no replica")
    }

    async fn sign_in(self: &Arc<Self>) -> Result<()> {
        let mut wire = Wire::default();
        for _ in 0..SIGNED_IN {
            let mut hand = Hand::new(self, &mut wire);
            self.pool.put(hand.sign_in().await.context("the first users cannot sign in")?);
        }
        Ok(())
    }

    pub fn clients(&self) -> Option<Arc<Clients>> {
        self.clients.get().cloned()
    }

    /// Looks at keys and processes from now on.
    pub fn watch(self: &Arc<Self>, every: Duration) {
        tokio::spawn(vitals::watch(Arc::clone(self), every));
        for replica in &self.replicas {
            tokio::spawn(Arc::clone(&self.jwks).watch(Arc::clone(replica), Arc::clone(&self.history)));
        }
    }

    /// Waits until every logout token was taken. Who died while trying left it for a minute, and of those that were not
    /// taken the last comes after a quarter of one.
    pub async fn outbox(&self) -> Result<()> {
        let until = tokio::time::Instant::now() + TAKEN_WITHIN;
        while self.database.rows("logout_delivery").await? > 0 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Every token that was ever issued is asked for once more.
    pub async fn audit(self: &Arc<Self>) -> Result<()> {
        const HANDS: usize = 8;
        let tokens = Arc::new(self.pool.everything());
        println!("{:>8.1} s  asking for all {} tokens once more", self.history.now() as f64 / 1e6, tokens.len());
        let hands: Vec<_> = (0..HANDS)
            .map(|hand| {
                let (stage, tokens) = (Arc::clone(self), Arc::clone(&tokens));
                tokio::spawn(async move {
                    let mut wire = Wire::default();
                    for token in tokens.iter().skip(hand).step_by(HANDS) {
                        Hand::new(&stage, &mut wire).introspect(token).await;
                    }
                })
            })
            .collect();
        for hand in hands {
            hand.await?;
        }
        Ok(())
    }

    /// What the logs of all replicas tell of panics.
    pub fn panics(&self) -> Vec<String> {
        self.replicas.iter().flat_map(|replica| replica.panics()).collect()
    }

    pub fn failures(&self) -> Vec<String> {
        self.log.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A program with its whole path: the replicas have another environment.
pub fn absolute(program: &Path) -> Result<PathBuf> {
    program.canonicalize().with_context(|| format!("there is no {}; build it or say --signet", program.display()))
}
