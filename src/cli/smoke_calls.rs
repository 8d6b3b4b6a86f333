//! What `smoke` asks of a server, and how it judges the answers. `smoke` alone calls it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::healthcheck::reasons;
use super::output::text;
use super::smoke::millis;
use crate::crypto::jwk::{Jwk, parse_set};
use crate::runtime::probe::{self, Heard, Probe};

/// How often a token that is to be inactive is asked for, and how often in a row it must be.
const EVERY: Duration = Duration::from_millis(100);
const IN_A_ROW: u32 = 5;

/// What is tried.
pub struct Server {
    /// The public listener.
    pub public: Probe,
    /// The admin listener.
    pub admin: Probe,
    /// What discovery must name, where that is known.
    pub issuer: Option<String>,
    /// How long a revoked token may still be called active.
    pub staleness: Duration,
    /// How long to wait for readiness.
    pub wait: Duration,
    /// Say that TLS ended before.
    pub fake_tls_termination: bool,
}

impl Server {
    fn request(&self, probe: &Probe, method: Method, path: &str) -> RequestBuilder {
        let request = probe.request(method, path);
        if self.fake_tls_termination { request.header("x-forwarded-proto", "https") } else { request }
    }

    /// The answer, which must have that status.
    async fn asked(&self, request: RequestBuilder, status: u16) -> anyhow::Result<Heard> {
        let answer = probe::ask(request).await?;
        ensure!(answer.status == status, "{}", answer.brief());
        Ok(answer)
    }

    pub async fn ready(&self, probe: &Probe) -> anyhow::Result<((), String)> {
        let began = Instant::now();
        loop {
            let fault = match probe::ask(self.request(probe, Method::GET, "/health/ready")).await {
                Ok(answer) if answer.status == 200 => return Ok(((), probe.base().to_owned())),
                Ok(answer) => format!("{}/health/ready says {}", probe.base(), reasons(&answer)),
                Err(error) => format!("{}: {error}", probe.base()),
            };
            if began.elapsed() >= self.wait {
                bail!(fault);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    pub async fn discovery(&self) -> anyhow::Result<(String, String)> {
        let path = "/.well-known/openid-configuration";
        let found = self.asked(self.request(&self.public, Method::GET, path), 200).await?.json();
        let issuer = text(&found, "issuer");
        ensure!(!issuer.is_empty(), "{}{path} names no issuer", self.public.base());
        if let Some(expected) = &self.issuer {
            ensure!(issuer == *expected, "it says {issuer:?}, expected was {expected:?}");
        }
        Ok((issuer.clone(), issuer))
    }

    pub async fn jwks(&self) -> anyhow::Result<(Vec<Jwk>, String)> {
        let request = self.request(&self.public, Method::GET, "/.well-known/jwks.json");
        let keys = parse_set(&self.asked(request, 200).await?.json());
        ensure!(!keys.is_empty(), "the set is empty");
        let count = keys.len().to_string();
        Ok((keys, count))
    }

    pub async fn client(&self, id: &str, secret: &str, strategy: &str) -> anyhow::Result<((), String)> {
        let mut client = json!({
            "client_id": id, "client_secret": secret, "client_name": "signet smoke", "scope": "smoke",
            "grant_types": ["client_credentials"], "response_types": [],
            "token_endpoint_auth_method": "client_secret_post",
        });
        if let (false, Some(members)) = (strategy.is_empty(), client.as_object_mut()) {
            members.insert("access_token_strategy".to_owned(), json!(strategy));
        }
        self.asked(self.request(&self.admin, Method::POST, "/admin/clients").json(&client), 201).await?;
        Ok(((), id.to_owned()))
    }

    pub async fn token(&self, id: &str, secret: &str) -> anyhow::Result<(String, String)> {
        let form =
            [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret), ("scope", "smoke")];
        let request = self.request(&self.public, Method::POST, "/oauth2/token").form(&form);
        let token = text(&self.asked(request, 200).await?.json(), "access_token");
        ensure!(!token.is_empty(), "the answer holds no access token");
        Ok((token, String::new()))
    }

    async fn introspect(&self, token: &str) -> anyhow::Result<Value> {
        let request = self.request(&self.admin, Method::POST, "/admin/oauth2/introspect").form(&[("token", token)]);
        Ok(self.asked(request, 200).await?.json())
    }

    pub async fn active(&self, token: &str, id: &str, issuer: &str) -> anyhow::Result<((), String)> {
        let found = self.introspect(token).await?;
        ensure!(found.get("active") == Some(&Value::Bool(true)), "it says {found}");
        ensure!(text(&found, "client_id") == id, "it says that the client is {:?}", text(&found, "client_id"));
        ensure!(text(&found, "iss") == issuer, "it says that the issuer is {:?}", text(&found, "iss"));
        Ok(((), String::new()))
    }

    pub async fn revoke(&self, token: &str, id: &str, secret: &str) -> anyhow::Result<((), String)> {
        let form = [("token", token), ("client_id", id), ("client_secret", secret)];
        self.asked(self.request(&self.public, Method::POST, "/oauth2/revoke").form(&form), 200).await?;
        Ok(((), String::new()))
    }

    /// Every replica may be asked, and one that caches may say "active" for as long as was agreed.
    pub async fn inactive(&self, token: &str) -> anyhow::Result<((), String)> {
        let (began, mut row, mut last_active) = (Instant::now(), 0, Duration::ZERO);
        while row < IN_A_ROW {
            if self.introspect(token).await?.get("active") == Some(&Value::Bool(false)) {
                row += 1;
            } else {
                (row, last_active) = (0, began.elapsed());
                if last_active > self.staleness {
                    bail!("it still says active {} ms after the revocation", millis(last_active));
                }
                tokio::time::sleep(EVERY).await;
            }
        }
        let late = !last_active.is_zero();
        Ok(((), if late { format!("{} ms after the revocation", millis(last_active)) } else { String::new() }))
    }

    pub async fn delete(&self, ids: &[String]) -> anyhow::Result<((), String)> {
        for id in ids {
            let request = self.request(&self.admin, Method::DELETE, &format!("/admin/clients/{id}"));
            let answer = probe::ask(request).await.with_context(|| format!("client {id} is left"))?;
            // A client that could not be made is not there.
            ensure!(matches!(answer.status, 204 | 404), "client {id} is left: {}", answer.brief());
        }
        Ok(((), String::new()))
    }
}
