//! Chains of refresh tokens: a worker always sends the newest one of a chain. Some may be sent twice at once, which a
//! server may answer once or refuse, and after which the chain is as good as dead, so another takes its place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use serde_json::Value;
use tokio::task::JoinSet;

use super::Scenario;
use crate::chance;
use crate::flow::Flow;
use crate::http::connection::Wire;
use crate::target::{Target, text, web};
use crate::work::{Unit, Worker, is_right};

/// Sizes of the scenario.
#[derive(Clone, Copy)]
pub struct Options {
    pub id_token: bool,
    /// Percent of the requests that are sent twice.
    pub duplicates: u8,
    /// Chains of each worker.
    pub chains: usize,
}

pub async fn prepare(target: &Target, workers: usize, options: Options) -> Result<Scenario> {
    if options.chains == 0 {
        bail!("--chains must be at least 1");
    }
    let client = target.create_client(&web()).await?;
    let flow = Flow::new(target, &client, options.id_token);
    let chains = Chains::prepare(&flow, workers, options.chains).await?;
    let source = Arc::new(move |worker| {
        let (chains, duplicates) = (chains.of(worker), options.duplicates);
        Box::new(Refresher { chains, duplicates, other: None }) as Box<dyn Worker>
    });
    let mut name = "refresh".to_owned();
    if options.id_token {
        name.push_str(" with ID token");
    }
    if options.duplicates > 0 {
        name.push_str(&format!(", {} % twice", options.duplicates));
    }
    Ok(Scenario::new(name, source, vec![client]))
}

/// The newest refresh tokens of all workers, before the run.
pub struct Chains {
    flow: Flow,
    tokens: Vec<String>,
    each: usize,
    flows: Arc<AtomicU64>,
}

impl Chains {
    pub async fn prepare(flow: &Flow, workers: usize, each: usize) -> Result<Self> {
        let tokens: Vec<_> = flow.run_many(workers * each).await?.into_iter().map(|tokens| tokens.refresh).collect();
        let flows = Arc::new(AtomicU64::new(tokens.len() as u64));
        Ok(Self { flow: flow.clone(), tokens, each, flows })
    }

    /// The chains of one worker.
    pub fn of(&self, worker: usize) -> OwnChains {
        let tokens = self.tokens.iter().skip(worker * self.each).take(self.each).cloned().collect();
        OwnChains { flow: self.flow.clone(), tokens, flows: Arc::clone(&self.flows), coming: JoinSet::new() }
    }
}

/// One worker's chains, in the order in which they are sent.
pub struct OwnChains {
    flow: Flow,
    tokens: VecDeque<String>,
    flows: Arc<AtomicU64>,
    /// Flows beside the run that will give new chains.
    coming: JoinSet<Result<String>>,
}

impl OwnChains {
    /// Takes a chain's newest token; waits for a flow when there is none.
    async fn next(&mut self, wire: &Wire) -> Result<String> {
        while let Some(done) = self.coming.try_join_next() {
            self.tokens.push_back(done??);
        }
        if self.tokens.is_empty() && self.coming.is_empty() {
            self.replace(wire);
        }
        match self.tokens.pop_front() {
            Some(token) => Ok(token),
            None => self.coming.join_next().await.context("no chain is coming")??,
        }
    }

    /// Runs a flow beside the run: a chain was lost.
    fn replace(&mut self, wire: &Wire) {
        let (flow, n, mut wire) = (self.flow.clone(), self.flows.fetch_add(1, Ordering::Relaxed), wire.another());
        self.coming.spawn(async move { Ok(flow.run(n, &mut wire).await.context("no new chain")?.refresh) });
    }

    /// Sends a chain's newest token and keeps what comes back.
    pub async fn refresh(&mut self, wire: &mut Wire) -> Result<()> {
        let token = self.next(wire).await?;
        let newer = self.send(wire, &token).await;
        match newer {
            Ok(newer) => self.tokens.push_back(newer),
            Err(error) => {
                self.replace(wire);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn send(&self, wire: &mut Wire, token: &str) -> Result<String> {
        let call = self.flow.refresh(token);
        let answer = wire.send(&call).await?;
        if !is_right(&call, &answer) {
            wire.complain(&call, &answer);
            bail!("{}", answer.status);
        }
        text(&serde_json::from_slice::<Value>(&answer.body)?, "refresh_token")
    }

    /// Sends the same token twice at once; how both were answered, the lower status first.
    async fn send_twice(&mut self, wire: &mut Wire, other: &mut Wire) -> Result<(u16, u16)> {
        let token = self.next(wire).await?;
        let call = self.flow.refresh(&token);
        let (one, two) = tokio::join!(wire.send(&call), other.send(&call));
        self.replace(wire);
        let (one, two) = (one?, two?);
        for answer in [&one, &two].into_iter().filter(|answer| is_fault(answer.status)) {
            wire.complain(&call, answer);
        }
        Ok((one.status.min(two.status), one.status.max(two.status)))
    }
}

/// Tokens and refusals are answers; a server that breaks is not.
fn is_fault(status: u16) -> bool {
    status >= 500
}

struct Refresher {
    chains: OwnChains,
    duplicates: u8,
    /// For the second of two requests at once.
    other: Option<Wire>,
}

impl Refresher {
    async fn twice(&mut self, wire: &mut Wire) -> Unit {
        let other = self.other.get_or_insert_with(|| wire.another());
        match self.chains.send_twice(wire, other).await {
            Ok((low, high)) if is_fault(high) => Unit::failed(format!("twice: {low} and {high}")),
            Ok((low, high)) => Unit::done(format!("twice: {low} and {high}")),
            Err(error) => Unit::failed(format!("twice: {error}")),
        }
    }
}

#[async_trait]
impl Worker for Refresher {
    async fn unit(&mut self, n: u64, wire: &mut Wire) -> Option<Unit> {
        if self.duplicates == 0 {
            return Some(Unit::of(&self.chains.refresh(wire).await, "200"));
        }
        if chance::mixed(n) % 100 < u64::from(self.duplicates) {
            return Some(self.twice(wire).await.of_kind("twice"));
        }
        Some(Unit::of(&self.chains.refresh(wire).await, "200").of_kind("once"))
    }
}
