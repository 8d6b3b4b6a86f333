//! Commands about tokens: get one, introspect, revoke, delete; `token …` as in v1.
//!
//! Each function is one command. Invariant: `token client` prints the access token and nothing else.

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;
use time::OffsetDateTime;

use super::api::{Api, ApiFlags, Body, Side, Spelling};
use super::output::{Row, Show, say, text};
use super::token_record::{self, after};

const INTROSPECTION_HEADERS: [&str; 6] = ["ACTIVE", "SUBJECT", "CLIENT ID", "SCOPE", "EXPIRY", "TOKEN USE"];

/// Who the client is.
#[derive(Debug, clap::Args)]
pub struct Credentials {
    /// The client's id
    #[arg(long, env = "OAUTH2_CLIENT_ID")]
    client_id: Option<String>,
    /// The client's secret
    #[arg(long, env = "OAUTH2_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
}

/// `perform client-credentials` and `token client`.
#[derive(Debug, clap::Args)]
pub struct ClientCredentials {
    #[command(flatten)]
    who: Credentials,
    /// Scopes to ask for; repeats or takes commas
    #[arg(long, value_delimiter = ',')]
    scope: Vec<String>,
    /// Audiences to ask for; repeats or takes commas
    #[arg(long, value_delimiter = ',')]
    audience: Vec<String>,
    /// `token client` alone: print the whole answer
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `introspect token` and `token introspect`.
#[derive(Debug, clap::Args)]
pub struct Introspect {
    /// The token
    #[arg(allow_hyphen_values = true)]
    token: String,
    /// The token must have these scopes to count as active; repeats or takes commas
    #[arg(long, value_delimiter = ',')]
    scope: Vec<String>,
    /// Accepted for older scripts: the admin API asks for no client
    #[arg(long, hide = true)]
    client_id: Option<String>,
    /// Accepted for older scripts
    #[arg(long, hide = true)]
    client_secret: Option<String>,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `revoke token` and `token revoke`.
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The token
    #[arg(allow_hyphen_values = true)]
    token: String,
    #[command(flatten)]
    who: Credentials,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `delete access-tokens` and `token delete`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The client whose access tokens go
    #[arg(value_name = "CLIENT-ID")]
    client: String,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

impl Credentials {
    /// The client's id.
    ///
    /// # Errors
    /// When it is not given.
    pub fn id(&self) -> anyhow::Result<&str> {
        let id = self.client_id.as_deref().filter(|id| !id.is_empty());
        id.context("no client named: give --client-id or set OAUTH2_CLIENT_ID")
    }

    /// The client's secret; a public client has none.
    pub fn secret(&self) -> Option<&str> {
        self.client_secret.as_deref().filter(|secret| !secret.is_empty())
    }

    fn both(&self) -> anyhow::Result<(&str, &str)> {
        let id = self.id()?;
        let secret = self.secret().context("no secret given: use --client-secret or set OAUTH2_CLIENT_SECRET")?;
        Ok((id, secret))
    }
}

/// Gets a token for the client itself (RFC 6749 §4.4).
///
/// # Errors
/// Missing credentials; the server's refusal.
pub async fn client_credentials(args: ClientCredentials, spelling: Spelling) -> anyhow::Result<()> {
    let who = args.who.both()?;
    let (scope, audience) = (args.scope.join(" "), args.audience.join(" "));
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(
        [("scope", scope.as_str()), ("audience", audience.as_str())].into_iter().filter(|(_, v)| !v.is_empty()),
    );
    let api = Api::open(&args.api, Side::Public, spelling)?;
    let asked = token_record::now();
    let answer = api.call(Method::POST, &["oauth2", "token"], &[], Body::Form(&form, Some(who))).await?;
    let token = token_record::dated(answer.value, asked)?;
    match (spelling, args.verbose) {
        (Spelling::V1, false) => say(&text(&token, "access_token")),
        (Spelling::V1, true) => say(&serde_json::to_string_pretty(&token)?),
        (Spelling::V2, _) => token_record::show(&token, &args.show),
    }
}

/// Asks whether a token is active (RFC 7662). An inactive token is an answer, not an error.
///
/// # Errors
/// The server's refusal.
pub async fn introspect(args: Introspect, spelling: Spelling) -> anyhow::Result<()> {
    let scope = args.scope.join(" ");
    let mut form = vec![("token", args.token.as_str())];
    if !scope.is_empty() {
        form.push(("scope", scope.as_str()));
    }
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let path = ["admin", "oauth2", "introspect"];
    let answer = api.call(Method::POST, &path, &[], Body::Form(&form, None)).await?.value;
    match spelling {
        Spelling::V1 => say(&serde_json::to_string_pretty(&answer)?),
        Spelling::V2 => args.show.record(&INTROSPECTION_HEADERS, &introspection_row(&answer, &args.token), &answer),
    }
}

fn introspection_row(answer: &Value, token: &str) -> Row {
    let expiry = answer.get("exp").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    let expiry = expiry.and_then(|seconds| after(OffsetDateTime::UNIX_EPOCH, seconds)).unwrap_or_default();
    let cells = vec![
        text(answer, "active"),
        text(answer, "sub"),
        text(answer, "client_id"),
        text(answer, "scope"),
        expiry,
        text(answer, "token_use"),
    ];
    Row { id: token.to_owned(), cells }
}

/// Revokes a token (RFC 7009).
///
/// # Errors
/// Missing credentials; the server's refusal.
pub async fn revoke(args: Revoke, spelling: Spelling) -> anyhow::Result<()> {
    let who = args.who.both()?;
    let api = Api::open(&args.api, Side::Public, spelling)?;
    let form = [("token", args.token.as_str())];
    api.call(Method::POST, &["oauth2", "revoke"], &[], Body::Form(&form, Some(who))).await?;
    match spelling {
        Spelling::V1 => say(&format!("Revoked OAuth 2.0 Access Token: {}", args.token)),
        Spelling::V2 => args.show.ids(&[args.token]),
    }
}

/// Deletes every access token of a client.
///
/// # Errors
/// The server's refusal.
pub async fn delete(args: Delete, spelling: Spelling) -> anyhow::Result<()> {
    if args.client.is_empty() {
        bail!("no client named");
    }
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let query = [("client_id", args.client.as_str())];
    api.call(Method::DELETE, &["admin", "oauth2", "tokens"], &query, Body::Empty).await?;
    match spelling {
        Spelling::V1 => say(&format!("Deleted access tokens of the OAuth 2.0 Client: {}", args.client)),
        Spelling::V2 => args.show.ids(&[args.client]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_inactive_token_stands_for_nothing() {
        let row = introspection_row(&json!({"active": false}), "t");
        assert_eq!(row.cells, ["false", "", "", "", "", ""]);
    }
}
