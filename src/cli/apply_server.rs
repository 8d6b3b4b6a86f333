//! What `apply` asks of a server, and how long it goes on asking.
//!
//! `apply` alone calls it. Invariant: only [`Server::write`] changes anything, and each call can be made again.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;

use super::api::{Answer, Api, ApiFlags, Body, Refused, Side, Spelling, web_url};
use super::apply_plan::{Action, Step, takes_secret};
use super::clients::{CLIENTS, page};
use crate::domain::client::Client;

/// No token of anybody's: revoking it proves who asks, and ends nothing (RFC 7009 §2.2).
const NO_TOKEN: &str = "signet-apply-asks";
const EVERY: Duration = Duration::from_millis(500);
/// How often a client is looked at again that somebody else made or deleted meanwhile.
const RACES: u32 = 3;
const PAGE: u32 = 500;

/// The two listeners of a server.
pub struct Server {
    admin: Api,
    public: Option<Api>,
    wait: Duration,
    until: Instant,
    told: Cell<bool>,
}

impl Server {
    /// Finds the endpoints. `wait` counts from now.
    ///
    /// # Errors
    /// When the admin endpoint is not given, or a flag does not parse.
    pub fn open(flags: &ApiFlags, public: Option<&str>, wait: Duration) -> anyhow::Result<Self> {
        let admin = Api::open(flags, Side::Admin, Spelling::V2)?;
        let public = public.map(|url| public_api(flags, url)).transpose()?;
        Ok(Self { admin, public, wait, until: Instant::now() + wait, told: Cell::new(false) })
    }

    /// A client as the server has it.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn client(&self, id: &str) -> anyhow::Result<Option<Client>> {
        match self.admin.call(Method::GET, &["admin", "clients", id], &[], Body::Empty).await {
            Ok(answer) => read(answer.value).map(Some),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All clients that there are.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn clients(&self) -> anyhow::Result<Vec<Client>> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let (items, next) = page(&self.admin, PAGE, &token).await?;
            all.extend(items.into_iter().map(read).collect::<anyhow::Result<Vec<_>>>()?);
            match next {
                Some(next) => token = next,
                None => return Ok(all),
            }
        }
    }

    /// Whether the server takes that secret for the client's, rotated ones included: the client revokes a token that is
    /// none, by the method that it has.
    ///
    /// # Errors
    /// The server's refusal for another reason.
    pub async fn takes(&self, client: &Client, secret: &str) -> anyhow::Result<bool> {
        if !takes_secret(client) {
            return Ok(false);
        }
        let public = self.public.as_ref().context("no public listener is known")?;
        let id = client.client_id.as_str();
        let posted = [("token", NO_TOKEN), ("client_id", id), ("client_secret", secret)];
        let body = match client.auth_method() {
            "client_secret_post" => Body::Form(&posted, None),
            _ => Body::Form(posted.get(..1).unwrap_or_default(), Some((id, secret))),
        };
        match public.call(Method::POST, &["oauth2", "revoke"], &[], body).await {
            Ok(_) => Ok(true),
            Err(error) if refused(&error).is_some_and(|answer| answer.code() == "invalid_client") => Ok(false),
            Err(error) => Err(error.context("whether the client has that secret")),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn write(&self, step: &Step) -> anyhow::Result<()> {
        let one = ["admin", "clients", step.id.as_str()];
        let done: anyhow::Result<Answer> = match step.action {
            Action::Keep => return Ok(()),
            Action::Create => self.admin.call(Method::POST, &CLIENTS, &[], Body::Json(&step.body)).await,
            Action::Update => self.admin.call(Method::PUT, &one, &[], Body::Json(&step.body)).await,
            Action::Delete => self.admin.call(Method::DELETE, &one, &[], Body::Empty).await,
        };
        match done {
            Err(error) if step.action == Action::Delete && status(&error) == Some(404) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Tries again while the server is not ready and the time is not over, and when a client came or went meanwhile.
    ///
    /// # Errors
    /// What the last try said.
    pub async fn patiently<T>(&self, work: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut races = 0;
        loop {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(refused) = refused(&error) else { return Err(error) };
            match refused.status {
                Some(404 | 409) if races < RACES => races += 1,
                None | Some(429 | 502 | 503 | 504) if Instant::now() < self.until => {
                    if !self.told.replace(true) {
                        eprintln!("Not ready: {}. Trying for {:?}.", refused.why().join(" "), self.wait);
                    }
                    tokio::time::sleep(EVERY).await;
                }
                _ => return Err(error),
            }
        }
    }
}

/// Headers and tokens are for whoever guards the admin listener, and stay there.
fn public_api(flags: &ApiFlags, url: &str) -> anyhow::Result<Api> {
    let endpoint = web_url(url, "--public")?;
    let flags =
        ApiFlags { endpoint: Some(endpoint.into()), access_token: None, http_header: Vec::new(), ..flags.clone() };
    Api::open(&flags, Side::Public, Spelling::V2)
}

fn read(shown: Value) -> anyhow::Result<Client> {
    let Value::Object(members) = shown else { bail!("the server's answer is no client; is the endpoint right?") };
    Client::from_members(members).context("the server's answer is no client")
}

/// What the server answered, where that is why.
pub fn refused(error: &anyhow::Error) -> Option<&Refused> {
    error.downcast_ref()
}

fn status(error: &anyhow::Error) -> Option<u16> {
    refused(error)?.status
}
