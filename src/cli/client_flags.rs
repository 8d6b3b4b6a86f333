//! The flags that describe an OAuth 2.0 client, in the spelling of both generations of commands.
//!
//! Called by `clients.rs` alone. Invariant: a flag that was not typed leaves no trace, so that an update touches
//! nothing else.

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

/// Flags of `create oauth2-client` and `update oauth2-client`. List flags repeat or take commas.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "The client")]
pub struct ClientFlags {
    /// opaque or jwt; the server's setting when absent
    #[arg(long, value_name = "STRATEGY")]
    access_token_strategy: Option<String>,
    /// Origins that browsers may call from
    #[arg(long, alias = "allowed-cors-origins", value_delimiter = ',', value_name = "ORIGIN")]
    allowed_cors_origin: Vec<String>,
    /// Audiences the client may ask for
    #[arg(long, value_delimiter = ',')]
    audience: Vec<String>,
    /// Where logout tokens go
    #[arg(long, value_name = "URL")]
    backchannel_logout_callback: Option<String>,
    /// The logout token must name the session
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    backchannel_logout_session_required: Option<bool>,
    /// Home page
    #[arg(long, value_name = "URL")]
    client_uri: Option<String>,
    /// Contacts, as e-mail addresses
    #[arg(long, value_delimiter = ',')]
    contact: Vec<String>,
    /// The page that ends the client's session in the browser
    #[arg(long, value_name = "URL")]
    frontchannel_logout_callback: Option<String>,
    /// Tell that page issuer and session
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    frontchannel_logout_session_required: Option<bool>,
    /// Grants the client may use [default of create: authorization_code]
    #[arg(short = 'g', long, alias = "grant-types", value_delimiter = ',', value_name = "GRANT")]
    grant_type: Vec<String>,
    /// The client's id; chosen by the server when absent
    #[arg(long)]
    id: Option<String>,
    /// The client's public keys
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// Logo
    #[arg(long, value_name = "URL")]
    logo_uri: Option<String>,
    /// Any JSON, kept and shown, never interpreted
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// Name for people
    #[arg(short = 'n', long)]
    name: Option<String>,
    /// Owner
    #[arg(long)]
    owner: Option<String>,
    /// Privacy policy
    #[arg(long, value_name = "URL")]
    policy_uri: Option<String>,
    /// Where a logout may return to
    #[arg(long, alias = "post-logout-callbacks", value_delimiter = ',', value_name = "URL")]
    post_logout_callback: Vec<String>,
    /// Where codes and tokens are sent
    #[arg(short = 'c', long, aliases = ["callbacks", "redirect-uris"], value_delimiter = ',', value_name = "URL")]
    redirect_uri: Vec<String>,
    /// Algorithm of request objects [default of create: RS256]
    #[arg(long, value_name = "ALG")]
    request_object_signing_alg: Option<String>,
    /// Where request objects may be fetched
    #[arg(long, value_delimiter = ',', value_name = "URL")]
    request_uri: Vec<String>,
    /// Response types [default of create: code]
    #[arg(short = 'r', long, alias = "response-types", value_delimiter = ',', value_name = "TYPE")]
    response_type: Vec<String>,
    /// Scopes the client may ask for
    #[arg(short = 'a', long, value_delimiter = ',')]
    scope: Vec<String>,
    /// The client's secret; chosen by the server when absent
    #[arg(long)]
    secret: Option<String>,
    /// The URL that names the sector for pairwise subjects
    #[arg(long, value_name = "URL")]
    sector_identifier_uri: Option<String>,
    /// Never ask the user for consent
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    skip_consent: Option<bool>,
    /// Never ask the user before a logout
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    skip_logout_consent: Option<bool>,
    /// public or pairwise [default of create: public]
    #[arg(long, value_name = "TYPE")]
    subject_type: Option<String>,
    /// client_secret_basic, client_secret_post, private_key_jwt or none [default of create: client_secret_basic]
    #[arg(long, value_name = "METHOD")]
    token_endpoint_auth_method: Option<String>,
    /// Terms of service
    #[arg(long, value_name = "URL")]
    tos_uri: Option<String>,
    /// Encrypting the secret for a PGP key is not offered
    #[arg(long, hide = true)]
    pgp_key: Option<String>,
    /// See --pgp-key
    #[arg(long, hide = true)]
    pgp_key_url: Option<String>,
    /// See --pgp-key
    #[arg(long, hide = true)]
    keybase: Option<String>,
}

impl ClientFlags {
    /// The API's members for the flags that were typed.
    ///
    /// # Errors
    /// When `--metadata` is no JSON, or a PGP flag is given: the secret would not be hidden as the caller expects.
    pub fn members(&self) -> anyhow::Result<Map<String, Value>> {
        if self.pgp_key.is_some() || self.pgp_key_url.is_some() || self.keybase.is_some() {
            bail!("--pgp-key, --pgp-key-url and --keybase are not offered: pipe the output into gpg --encrypt instead");
        }
        let mut members = Map::new();
        self.texts(&mut members);
        self.lists(&mut members);
        self.switches(&mut members);
        if let Some(text) = &self.metadata {
            let value = serde_json::from_str(text).with_context(|| {
                format!("--metadata is not JSON: {text:?}; write for example --metadata '{{\"team\":\"a\"}}'")
            })?;
            members.insert("metadata".to_owned(), value);
        }
        if !self.scope.is_empty() {
            members.insert("scope".to_owned(), Value::from(self.scope.join(" ")));
        }
        Ok(members)
    }

    /// [`Self::members`] over the defaults of a new client.
    ///
    /// # Errors
    /// As [`Self::members`].
    pub fn new_client(&self) -> anyhow::Result<Map<String, Value>> {
        let mut all = json!({
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "subject_type": "public",
            "token_endpoint_auth_method": "client_secret_basic",
            "request_object_signing_alg": "RS256",
            "metadata": {},
        });
        let mut members = self.members()?;
        if let Some(all) = all.as_object_mut() {
            all.append(&mut members);
            return Ok(std::mem::take(all));
        }
        Ok(members)
    }

    fn texts(&self, members: &mut Map<String, Value>) {
        let texts = [
            ("access_token_strategy", &self.access_token_strategy),
            ("backchannel_logout_uri", &self.backchannel_logout_callback),
            ("client_uri", &self.client_uri),
            ("frontchannel_logout_uri", &self.frontchannel_logout_callback),
            ("client_id", &self.id),
            ("jwks_uri", &self.jwks_uri),
            ("logo_uri", &self.logo_uri),
            ("client_name", &self.name),
            ("owner", &self.owner),
            ("policy_uri", &self.policy_uri),
            ("request_object_signing_alg", &self.request_object_signing_alg),
            ("client_secret", &self.secret),
            ("sector_identifier_uri", &self.sector_identifier_uri),
            ("subject_type", &self.subject_type),
            ("token_endpoint_auth_method", &self.token_endpoint_auth_method),
            ("tos_uri", &self.tos_uri),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                members.insert(name.to_owned(), Value::from(value.as_str()));
            }
        }
    }

    fn lists(&self, members: &mut Map<String, Value>) {
        let lists = [
            ("allowed_cors_origins", &self.allowed_cors_origin),
            ("audience", &self.audience),
            ("contacts", &self.contact),
            ("grant_types", &self.grant_type),
            ("post_logout_redirect_uris", &self.post_logout_callback),
            ("redirect_uris", &self.redirect_uri),
            ("request_uris", &self.request_uri),
            ("response_types", &self.response_type),
        ];
        for (name, values) in lists {
            let values: Vec<&str> = values.iter().map(|v| v.trim()).filter(|v| !v.is_empty()).collect();
            if !values.is_empty() {
                members.insert(name.to_owned(), Value::from(values));
            }
        }
    }

    fn switches(&self, members: &mut Map<String, Value>) {
        let switches = [
            ("backchannel_logout_session_required", self.backchannel_logout_session_required),
            ("frontchannel_logout_session_required", self.frontchannel_logout_session_required),
            ("skip_consent", self.skip_consent),
            ("skip_logout_consent", self.skip_logout_consent),
        ];
        for (name, value) in switches {
            if let Some(value) = value {
                members.insert(name.to_owned(), Value::from(value));
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn flags_not_typed_leave_no_trace_in_an_update() {
        let flags = ClientFlags { name: Some("x".into()), scope: vec!["a".into(), "b".into()], ..Default::default() };
        assert_eq!(Value::Object(flags.members().unwrap()), json!({"client_name": "x", "scope": "a b"}));
    }

    #[test]
    fn a_new_client_has_defaults_that_flags_replace() {
        let flags = ClientFlags { grant_type: vec!["client_credentials".into()], ..Default::default() };
        let all = flags.new_client().unwrap();
        assert_eq!(all.get("grant_types"), Some(&json!(["client_credentials"])));
        assert_eq!(all.get("response_types"), Some(&json!(["code"])));
    }

    #[test]
    fn metadata_that_is_no_json_is_refused() {
        assert!(ClientFlags { metadata: Some("{no".into()), ..Default::default() }.members().is_err());
        assert!(ClientFlags { pgp_key: Some("k".into()), ..Default::default() }.members().is_err());
    }
}
