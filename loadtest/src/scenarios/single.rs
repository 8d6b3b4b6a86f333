//! The scenarios of which one request is one unit.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Scenario;
use crate::chance::{self, Zipf};
use crate::flow::Flow;
use crate::http::Call;
use crate::target::{Target, machine, web};
use crate::work::{calls, in_turn, once_each};

/// The name of introspection over very many tokens.
pub const COLD: &str = "introspect cold";
const ACTIVE: &str = "\"active\":true";
const INACTIVE: &str = "\"active\":false";
/// Life of the tokens that must have expired.
const SHORT: Duration = Duration::from_secs(1);

/// Every request is one new token, of clients that take turns or are chosen by Zipf's law.
pub async fn client_credentials(target: &Target, strategy: &str, count: usize, zipf: bool) -> Result<Scenario> {
    let clients = target.create_clients(&machine(strategy), count).await?;
    let tokens: Vec<Call> = clients.iter().map(|client| target.token_call(client)).collect();
    let name = match (count, zipf) {
        (1, _) => format!("client-credentials {strategy}"),
        (_, false) => format!("client-credentials {strategy}, {count} clients"),
        (_, true) => format!("client-credentials {strategy}, {count} clients by Zipf"),
    };
    let source = if zipf {
        let zipf = Zipf::new(count);
        calls(move |n| tokens.get(zipf.choose(n)).cloned())
    } else {
        in_turn(tokens)?
    };
    Ok(Scenario::new(name, source, clients))
}

/// Live tokens, in turn.
pub async fn introspect(target: &Target, strategy: &str, count: usize) -> Result<Scenario> {
    let client = target.create_client(&machine(strategy)).await?;
    let tokens = target.issue(&client, count).await?;
    let source = in_turn(tokens.iter().map(|token| target.introspection(token, ACTIVE)).collect())?;
    Ok(Scenario::new(format!("introspect {strategy}"), source, vec![client]))
}

/// Tokens drawn at random among very many, issued before; their client stays.
pub fn introspect_cold(target: &Target, tokens: &[String]) -> Result<Scenario> {
    if tokens.is_empty() {
        bail!("no tokens to ask for");
    }
    let asked: Vec<Call> = tokens.iter().map(|token| target.introspection(token, ACTIVE)).collect();
    let source = calls(move |n| asked.get(usize::try_from(chance::mixed(n)).ok()? % asked.len()).cloned());
    Ok(Scenario::new(COLD, source, Vec::new()))
}

/// Tokens that are not: a quarter each of garbage, tampered with, expired, and of a client that was deleted.
pub async fn invalid(target: &Target, strategy: &str, count: usize) -> Result<Scenario> {
    let quarter = (count / 4).max(1);
    let live = target.create_client(&machine(strategy)).await?;
    let mut short = machine(strategy);
    short
        .as_object_mut()
        .context("no object")?
        .insert("client_credentials_grant_access_token_lifespan".to_owned(), json!(format!("{}s", SHORT.as_secs())));
    let (short, gone) = (target.create_client(&short).await?, target.create_client(&machine(strategy)).await?);
    let expired = target.issue(&short, quarter).await?;
    let unknown = target.issue(&gone, quarter).await?;
    let tampered = target.issue(&live, quarter).await?.iter().map(|token| tampered(token)).collect::<Vec<_>>();
    let garbage = (0..quarter).map(|_| chance::text()).collect::<Vec<_>>();
    target.forget(&[gone]).await;
    tokio::time::sleep(SHORT * 2).await;
    let kinds = [garbage, tampered, expired, unknown];
    let turns = (0..quarter).flat_map(|n| kinds.iter().filter_map(move |kind| kind.get(n)));
    let source = in_turn(turns.map(|token| target.introspection(token, INACTIVE)).collect())?;
    Ok(Scenario::new("introspect invalid", source, vec![live, short]))
}

/// A token with another character in the middle of its last part, which is its signature.
fn tampered(token: &str) -> String {
    let start = token.rfind('.').map_or(0, |dot| dot + 1);
    let at = start + (token.len() - start) / 2;
    let swapped = |c: char| if c == 'A' { 'B' } else { 'A' };
    token.char_indices().map(|(n, c)| if n == at { swapped(c) } else { c }).collect()
}

/// Access tokens of flows, in turn.
pub async fn userinfo(target: &Target, count: usize) -> Result<Scenario> {
    let client = target.create_client(&web()).await?;
    let flows = Flow::new(target, &client, true).run_many(count).await?;
    let call = |token: &str| Call::get(&target.public, "/userinfo").bearer(token).expecting("\"sub\"");
    let source = in_turn(flows.iter().map(|tokens| call(&tokens.access)).collect())?;
    Ok(Scenario::new("userinfo", source, vec![client]))
}

/// Every access token once.
pub async fn revoke_access(target: &Target, count: usize) -> Result<Scenario> {
    let client = target.create_client(&machine("opaque")).await?;
    let tokens = target.issue(&client, count).await?;
    let source = once_each(tokens.iter().map(|token| target.revocation(&client, token)).collect());
    Ok(Scenario { supply: Some(count), ..Scenario::new("revoke", source, vec![client]) })
}

/// Every refresh token once, each of a flow of its own: a revocation ends all that the flow gave.
pub async fn revoke_refresh(target: &Target, count: usize) -> Result<Scenario> {
    let client = target.create_client(&web()).await?;
    let flows = Flow::new(target, &client, false).run_many(count).await?;
    let source = once_each(flows.iter().map(|tokens| target.revocation(&client, &tokens.refresh)).collect());
    Ok(Scenario { supply: Some(count), ..Scenario::new("revoke refresh", source, vec![client]) })
}

/// The public keys.
pub fn jwks(target: &Target) -> Result<Scenario> {
    let call = Call::get(&target.public, "/.well-known/jwks.json").expecting("\"keys\"");
    Ok(Scenario::new("jwks", in_turn(vec![call])?, Vec::new()))
}

/// The discovery document.
pub fn discovery(target: &Target) -> Result<Scenario> {
    let call = Call::get(&target.public, "/.well-known/openid-configuration").expecting("\"issuer\"");
    Ok(Scenario::new("discovery", in_turn(vec![call])?, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tampered_token_differs_in_its_signature_alone() {
        for token in ["ory_at_abc.AAAA", "ory_at_abc.xyzw", "a.b.c", "word"] {
            let other = tampered(token);
            assert_eq!(other.len(), token.len());
            assert_eq!(token.chars().zip(other.chars()).filter(|(a, b)| a != b).count(), 1, "{token} {other}");
            assert_eq!(
                token.rfind('.').map(|at| token.split_at(at).0),
                other.rfind('.').map(|at| other.split_at(at).0)
            );
        }
    }
}
