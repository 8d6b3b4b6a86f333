//! Plays the schedule of faults on the replicas, their proxies and the stores behind them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::Stage;
use super::faults::{Kind, On, Planned};
use super::fleet::Replica;
use super::history::Micros;
use crate::fault_proxy::Fault;

/// A stopped process goes on after this time.
const STOPPED: Duration = Duration::from_secs(2);

/// A connection on which nothing passes is given up within this time.
const NOTICED: Duration = Duration::from_secs(10);

/// The time of a fault, from its beginning until what it hit was as before.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    pub from: Micros,
    pub to: Micros,
    pub name: String,
    /// Whose requests may be left without an answer meanwhile.
    pub excuses: Option<On>,
}

impl Window {
    /// Whether it excuses what came from this replica, or from none that is known.
    pub fn excuses(&self, replica: Option<u8>) -> bool {
        self.excuses.is_some_and(|on| replica.is_none_or(|number| on.hits(usize::from(number))))
    }
}

/// What happens now and what has happened.
#[derive(Default)]
pub struct Log {
    pub now: Mutex<Vec<String>>,
    pub windows: Mutex<Vec<Window>>,
    /// Faults that could not be played, and replicas that did not behave.
    pub failures: Mutex<Vec<String>>,
}

impl Log {
    pub fn current(&self) -> String {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.is_empty() { "no fault".to_owned() } else { now.join(" and ") }
    }

    pub fn happened(&self, window: Window) {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).push(window);
    }

    pub fn failed(&self, what: String) {
        eprintln!("soak: {what}");
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// Plays them all and waits for the end of the last.
pub async fn play(stage: &Arc<Stage>, schedule: Vec<Planned>, start: Instant) {
    let mut playing = Vec::new();
    for planned in schedule {
        sleep_until(start + planned.at).await;
        let stage = Arc::clone(stage);
        playing.push(tokio::spawn(async move { stage.fault(planned).await }));
    }
    for fault in playing {
        if let Err(error) = fault.await {
            stage.log.failed(format!("a fault was not played to its end: {error}"));
        }
    }
}

impl Stage {
    /// One fault from its beginning to its end.
    async fn fault(self: &Arc<Self>, planned: Planned) {
        let (name, from) = (planned.to_string(), self.history.now());
        println!("{:>8.1} s  {name}, for {:.1} s", from as f64 / 1e6, planned.lasts.as_secs_f64());
        self.log.now.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        let played = self.played(&planned).await;
        self.log.now.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != name);
        let (to, excuses) = (self.history.now(), planned.kind.excuses(planned.on));
        self.log.happened(Window { from, to, name: name.clone(), excuses });
        if let Err(error) = played {
            self.log.failed(format!("{name}: {error:#}"));
        }
    }

    fn hit(&self, planned: &Planned) -> impl Iterator<Item = &Arc<Replica>> {
        let on = planned.on;
        self.replicas.iter().filter(move |replica| on.hits(usize::from(replica.number)))
    }

    async fn played(self: &Arc<Self>, planned: &Planned) -> Result<()> {
        match planned.kind {
            Kind::RedisWay(fault) => self.way(planned, |replica| &replica.redis, fault).await,
            Kind::PostgresWay(fault) => self.way(planned, |replica| &replica.postgres, fault).await,
            Kind::PostgresStranded => {
                self.hit(planned).for_each(|replica| replica.postgres.strand());
                sleep(NOTICED).await;
            }
            Kind::RedisKilled => {
                self.redis.kill();
                sleep(planned.lasts).await;
                self.redis.run().await?;
            }
            Kind::RedisFlushed => {
                for _ in 0..planned.lasts.as_secs().max(1) {
                    self.redis.flush().await?;
                    sleep(Duration::from_secs(1)).await;
                }
            }
            Kind::BackendsTerminated => {
                self.database.terminate_all().await?;
                let until = Instant::now() + planned.lasts;
                while Instant::now() < until {
                    sleep(Duration::from_millis(200)).await;
                    self.database.terminate_one().await?;
                }
            }
            Kind::PostgresCrash => {
                self.database.crash().await?;
                sleep(Duration::from_millis(200)).await;
                while self.database.client().await.is_err() {
                    sleep(Duration::from_millis(50)).await;
                }
            }
            Kind::RotateKeys => self.rotate().await?,
            Kind::RotateSecret => self.rotate_secret().await?,
            Kind::Terminate => {
                let _alone = self.secrets.alone().await;
                for replica in self.hit(planned) {
                    let _turn = replica.turn.lock().await;
                    self.restart(replica).await?;
                }
            }
            Kind::Kill | Kind::Stop => {
                for replica in self.hit(planned) {
                    self.process(replica, planned).await?;
                }
            }
        }
        Ok(())
    }

    async fn way(&self, planned: &Planned, proxy: fn(&Replica) -> &crate::fault_proxy::Proxy, fault: Fault) {
        self.hit(planned).for_each(|replica| proxy(replica).play(fault));
        sleep(planned.lasts).await;
        self.hit(planned).for_each(|replica| proxy(replica).mend());
    }

    async fn process(&self, replica: &Replica, planned: &Planned) -> Result<()> {
        let _turn = replica.turn.lock().await;
        if planned.kind == Kind::Stop {
            replica.signal("STOP")?;
            sleep(STOPPED).await;
            return replica.signal("CONT");
        }
        replica.signal("KILL")?;
        replica.wait_end().await?;
        sleep(planned.lasts).await;
        replica.start().await
    }

    /// SIGTERM, the end, a new start; until it is ready.
    pub async fn restart(&self, replica: &Replica) -> Result<()> {
        self.end(replica).await?;
        replica.start().await
    }

    /// SIGTERM, of which the balancer hears late, and the end.
    pub async fn end(&self, replica: &Replica) -> Result<()> {
        self.balancer.hears_late(replica.number, self.lag);
        replica.signal("TERM")?;
        if !replica.wait_end().await? {
            bail!("replica {} did not end with 0 after SIGTERM", replica.number);
        }
        Ok(())
    }
}
