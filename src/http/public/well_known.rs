//! The metadata documents (OpenID Connect Discovery §3, RFC 8414) and the public keys (RFC 7517 §5).

use crate::actors::key_manager::{ID_TOKEN_SET, entity_tag};
use crate::http::{App, cors};
use actix_web::http::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What an operator may say about the documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// `webfinger.oidc_discovery.auth_url`.
    pub auth_url: Option<String>,
    /// `webfinger.oidc_discovery.token_url`.
    pub token_url: Option<String>,
    /// `webfinger.oidc_discovery.jwks_url`.
    pub jwks_url: Option<String>,
    /// `webfinger.oidc_discovery.userinfo_url`.
    pub userinfo_url: Option<String>,
    /// `webfinger.oidc_discovery.device_authorization_url`.
    pub device_authorization_url: Option<String>,
    /// `webfinger.oidc_discovery.client_registration_url`.
    pub client_registration_url: Option<String>,
    /// Claims beside `sub`.
    pub supported_claims: Vec<String>,
    /// Scopes beside Hydra's own three.
    pub supported_scope: Vec<String>,
    /// Subject types.
    pub subject_types: Vec<String>,
}

/// Mounts the routes.
pub fn routes(cfg: &mut web::ServiceConfig) {
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        cfg.service(
            web::resource(path).route(web::get().to(metadata)).default_service(web::to(cors::preflight_or_not_found)),
        );
    }
    cfg.service(
        web::resource("/.well-known/jwks.json")
            .route(web::get().to(jwks))
            .default_service(web::to(cors::preflight_or_not_found)),
    );
}

/// `GET /.well-known/jwks.json`.
pub async fn jwks(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let ring = app.keys.borrow().clone();
    unless_known(&request, &ring.etag, &ring.jwks)
}

/// The document, or that the caller has it already (RFC 9110 §13.1.2).
fn unless_known(request: &HttpRequest, etag: &str, document: &Bytes) -> HttpResponse {
    let mut known = request.headers().get_all(IF_NONE_MATCH).filter_map(|v| v.to_str().ok());
    if known.any(|tags| names(tags, etag)) {
        return HttpResponse::NotModified().insert_header((ETAG, etag)).finish();
    }
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")))
        .insert_header((ETAG, etag))
        .body(document.clone())
}

/// Whether a list of entity tags names this one. Compared weakly (RFC 9110 §13.1.2): a proxy that compresses makes the
/// tag weak.
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Both metadata documents, which are the same.
pub async fn metadata(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let now = app.clock.now();
    let alg = app.keys.borrow().signer(ID_TOKEN_SET, now).map_or("RS256", |k| k.alg().as_str());
    let written = app.metadata.of(alg, || {
        Value::from(document(&app.rules.issuer, &app.rules.public_url, &app.rules.discovery, alg)).to_string()
    });
    unless_known(&request, &written.etag, &written.document)
}

/// The metadata document as it was last written: it changes only with the algorithm of the keys.
#[derive(Default)]
pub struct Metadata(ArcSwapOption<Written>);

struct Written {
    alg: &'static str,
    etag: String,
    document: Bytes,
}

impl Metadata {
    fn of(&self, alg: &'static str, write: impl FnOnce() -> String) -> Arc<Written> {
        if let Some(written) = self.0.load_full().filter(|written| written.alg == alg) {
            return written;
        }
        let document = Bytes::from(write());
        let written = Arc::new(Written { alg, etag: entity_tag(&document), document });
        self.0.store(Some(Arc::clone(&written)));
        written
    }
}

/// The document. The algorithms of our own tokens are that of the newest ID token key.
pub fn document(issuer: &str, public: &str, of: &Discovery, alg: &str) -> Map<String, Value> {
    let at = |given: &Option<String>, path: &str| json!(given.clone().unwrap_or_else(|| format!("{public}{path}")));
    let with = |own: &[&str], more: &[String]| {
        let more = more.iter().map(String::as_str).filter(|name| !own.contains(name));
        json!(own.iter().copied().chain(more).collect::<Vec<_>>())
    };
    let mut out = endpoints(issuer, public, of, at);
    let algs = json!([alg]);
    for (name, value) in [
        ("claims_supported", with(&["sub"], &of.supported_claims)),
        ("scopes_supported", with(&["offline_access", "offline", "openid"], &of.supported_scope)),
        ("subject_types_supported", json!(of.subject_types)),
        (
            "response_types_supported",
            json!(["code", "code id_token", "id_token", "token id_token", "token", "token id_token code"]),
        ),
        ("response_modes_supported", json!(["query", "fragment", "form_post"])),
        (
            "grant_types_supported",
            json!([
                "authorization_code",
                "implicit",
                "client_credentials",
                "refresh_token",
                "urn:ietf:params:oauth:grant-type:device_code"
            ]),
        ),
        (
            "token_endpoint_auth_methods_supported",
            json!(["client_secret_post", "client_secret_basic", "private_key_jwt", "none"]),
        ),
        (
            "token_endpoint_auth_signing_alg_values_supported",
            json!(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]),
        ),
        ("userinfo_signing_alg_values_supported", json!(["none", alg])),
        ("id_token_signing_alg_values_supported", algs.clone()),
        ("id_token_signed_response_alg", algs.clone()),
        ("userinfo_signed_response_alg", algs),
        ("request_object_signing_alg_values_supported", json!(["none", "RS256", "ES256"])),
        ("request_parameter_supported", json!(true)),
        ("request_uri_parameter_supported", json!(true)),
        ("require_request_uri_registration", json!(true)),
        ("claims_parameter_supported", json!(false)),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("backchannel_logout_supported", json!(true)),
        ("backchannel_logout_session_supported", json!(true)),
        ("frontchannel_logout_supported", json!(true)),
        ("frontchannel_logout_session_supported", json!(true)),
        ("code_challenge_methods_supported", json!(["S256"])),
    ] {
        out.insert(name.to_owned(), value);
    }
    out
}

fn endpoints(
    issuer: &str,
    public: &str,
    of: &Discovery,
    at: impl Fn(&Option<String>, &str) -> Value,
) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in [
        ("issuer", json!(issuer)),
        ("authorization_endpoint", at(&of.auth_url, "/oauth2/auth")),
        ("token_endpoint", at(&of.token_url, "/oauth2/token")),
        ("jwks_uri", at(&of.jwks_url, "/.well-known/jwks.json")),
        ("userinfo_endpoint", at(&of.userinfo_url, "/userinfo")),
        ("device_authorization_endpoint", at(&of.device_authorization_url, "/oauth2/device/auth")),
        ("revocation_endpoint", json!(format!("{public}/oauth2/revoke"))),
        ("end_session_endpoint", json!(format!("{public}/oauth2/sessions/logout"))),
    ] {
        out.insert(name.to_owned(), value);
    }
    if let Some(url) = &of.client_registration_url {
        out.insert("registration_endpoint".to_owned(), json!(url));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PUBLIC: &str = "https://id.example";

    fn of() -> Discovery {
        Discovery { subject_types: vec!["public".to_owned()], ..Discovery::default() }
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_issuer_is_printed_as_written_and_every_endpoint_is_on_the_public_url() {
        let out = document("https://id.example/", PUBLIC, &of(), "ES256");
        assert_eq!(out.get("issuer"), Some(&json!("https://id.example/")));
        for (name, value) in out.iter().filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri") {
            let path = value.as_str().and_then(|url| url.strip_prefix(PUBLIC)).unwrap_or_default();
            assert!(path.starts_with('/') && !path.starts_with("//"), "{name}: {value}");
        }
        assert!(!out.contains_key("registration_endpoint"));
        assert_eq!(out.get("id_token_signing_alg_values_supported"), Some(&json!(["ES256"])));
        assert_eq!(out.get("userinfo_signing_alg_values_supported"), Some(&json!(["none", "ES256"])));
        assert_eq!(out.get("code_challenge_methods_supported"), Some(&json!(["S256"])));
    }

    #[test]
    fn what_the_operator_says_counts_and_is_listed_once() {
        let of = Discovery {
            jwks_url: Some("https://cdn.example/jwks".to_owned()),
            client_registration_url: Some("https://id.example/apply".to_owned()),
            supported_claims: texts(&["sub", "email", "openid"]),
            supported_scope: texts(&["openid", "sub", "mail"]),
            ..of()
        };
        let out = document(PUBLIC, PUBLIC, &of, "RS256");
        assert_eq!(out.get("jwks_uri"), Some(&json!("https://cdn.example/jwks")));
        assert_eq!(out.get("registration_endpoint"), Some(&json!("https://id.example/apply")));
        assert_eq!(out.get("claims_supported"), Some(&json!(["sub", "email", "openid"])));
        assert_eq!(out.get("scopes_supported"), Some(&json!(["offline_access", "offline", "openid", "sub", "mail"])));
    }

    proptest! {
        /// A tag is found wherever it stands in the list, weak or not, and no other tag passes for it.
        #[test]
        fn entity_tags_are_compared_weakly(before in "(\"[a-f]{1,8}\", ?){0,3}", weak: bool, tag in "\"[0-9]{1,8}\"") {
            let list = format!("{before}{}{tag}", if weak { "W/" } else { "" });
            prop_assert!(names(&list, &tag));
            prop_assert!(!names(&list, "\"other\""));
            prop_assert!(names("*", &tag));
        }
    }
}
