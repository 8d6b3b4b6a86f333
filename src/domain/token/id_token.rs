//! The claims of ID tokens (OpenID Connect Core §2) and of the userinfo endpoint (§5.3.2).

use super::session::{TokenSession, UserClaims};
use crate::crypto::jwk::Alg;
use crate::domain::world::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Claims that extra claims may never replace, whether we set them or leave them out.
const RESERVED: [&str; 15] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "rat",
    "auth_time",
    "nonce",
    "at_hash",
    "c_hash",
    "acr",
    "amr",
    "jti",
    "sid",
];

/// What an ID token says.
#[derive(Clone, Copy, Debug)]
pub struct IdTokenClaims<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`: the client.
    pub client_id: &'a str,
    /// `jti`.
    pub jti: &'a str,
    /// What was decided at login and consent.
    pub session: &'a TokenSession,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// The algorithm that will sign it, for the hashes.
    pub alg: Alg,
    /// The access token issued with it, for `at_hash`.
    pub access_token: Option<&'a str>,
    /// The code issued with it at the authorization endpoint, for `c_hash`.
    pub code: Option<&'a str>,
}

/// The claims of an ID token.
pub fn claims(of: &IdTokenClaims<'_>) -> Map<String, Value> {
    let session = of.session;
    let mut out = about_user(&UserClaims::of(session), of.issuer, of.client_id);
    for (name, value) in [
        ("exp", json!(of.expires_at.secs())),
        ("iat", json!(of.issued_at.secs())),
        ("jti", json!(of.jti)),
        ("sid", json!(session.session_id)),
    ] {
        out.insert(name.to_owned(), value);
    }
    let hash = |text: Option<&str>| text.map(|t| half_hash(of.alg, t));
    let nonce = Some(session.nonce.clone()).filter(|n| !n.is_empty());
    for (name, value) in [("nonce", nonce), ("at_hash", hash(of.access_token)), ("c_hash", hash(of.code))] {
        if let Some(value) = value {
            out.insert(name.to_owned(), Value::String(value));
        }
    }
    out
}

/// The claims of the userinfo endpoint: those of the ID token about the user.
pub fn userinfo(of: &UserClaims, issuer: &str, client_id: &str, issued_at: Timestamp) -> Map<String, Value> {
    let mut out = about_user(of, issuer, client_id);
    out.insert("iat".to_owned(), json!(issued_at.secs()));
    out
}

/// What both say: the extra claims, and over them our own.
fn about_user(of: &UserClaims, issuer: &str, client_id: &str) -> Map<String, Value> {
    let mut out = of.id_claims.clone();
    out.retain(|name, _| !RESERVED.contains(&name.as_str()));
    for (name, value) in [
        ("iss", json!(issuer)),
        ("sub", json!(of.client_subject)),
        ("aud", json!([client_id])),
        ("auth_time", json!(of.auth_time)),
        ("rat", json!(of.requested_at)),
    ] {
        out.insert(name.to_owned(), value);
    }
    if !of.acr.is_empty() {
        out.insert("acr".to_owned(), json!(of.acr));
    }
    if !of.amr.is_empty() {
        out.insert("amr".to_owned(), json!(of.amr));
    }
    out
}

/// The left half of the hash that belongs to a signature algorithm, in base64url (OpenID Connect Core §3.1.3.6; Ed25519
/// hashes by SHA-512).
pub fn half_hash(alg: Alg, text: &str) -> String {
    let hash = match alg {
        Alg::RS256 | Alg::PS256 | Alg::ES256 => Sha256::digest(text).to_vec(),
        Alg::RS384 | Alg::PS384 | Alg::ES384 => Sha384::digest(text).to_vec(),
        Alg::RS512 | Alg::PS512 | Alg::ES512 | Alg::EdDSA => Sha512::digest(text).to_vec(),
    };
    URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn session(id_claims: &Value) -> TokenSession {
        TokenSession {
            subject: "real".to_owned(),
            client_subject: "shown".to_owned(),
            session_id: Uuid::nil(),
            requested_scope: Vec::new(),
            scope: vec!["openid".to_owned()],
            audience: vec!["https://api".to_owned()],
            nonce: "n-123456".to_owned(),
            auth_time: 3,
            requested_at: 2,
            acr: "1".to_owned(),
            amr: vec!["pwd".to_owned()],
            access_claims: Map::new(),
            id_claims: id_claims.as_object().cloned().unwrap(),
        }
    }

    fn made(session: &TokenSession, access_token: Option<&str>, code: Option<&str>) -> Value {
        Value::Object(claims(&IdTokenClaims {
            issuer: "https://i/",
            client_id: "c",
            jti: "j",
            session,
            issued_at: Timestamp::from_secs(5),
            expires_at: Timestamp::from_secs(9),
            alg: Alg::RS256,
            access_token,
            code,
        }))
    }

    #[test]
    fn the_shape_is_the_recorded_one() {
        let said = made(&session(&json!({"name": "Foo"})), Some("token"), None);
        let hash = half_hash(Alg::RS256, "token");
        assert_eq!(
            said,
            json!({"acr": "1", "amr": ["pwd"], "at_hash": hash, "aud": ["c"], "auth_time": 3, "exp": 9, "iat": 5,
                "iss": "https://i/", "jti": "j", "name": "Foo", "nonce": "n-123456", "rat": 2, "sid": Uuid::nil(),
                "sub": "shown"})
        );
        let bare = TokenSession { nonce: String::new(), acr: String::new(), amr: Vec::new(), ..session(&json!({})) };
        let said = made(&bare, None, Some("code"));
        for absent in ["nonce", "acr", "amr", "at_hash", "name"] {
            assert!(said.get(absent).is_none(), "{absent}");
        }
        assert_eq!(said["c_hash"], json!(half_hash(Alg::RS256, "code")));
    }

    #[test]
    fn c16_extra_claims_replace_none_of_ours_not_even_one_that_is_absent() {
        let evil: Map<String, Value> = RESERVED.iter().map(|name| ((*name).to_owned(), json!("evil"))).collect();
        let bare = TokenSession { nonce: String::new(), acr: String::new(), amr: Vec::new(), ..session(&json!(evil)) };
        let said = made(&bare, None, None);
        assert!(said.as_object().unwrap().values().all(|v| v != "evil"), "{said}");
        let info = userinfo(&UserClaims::of(&bare), "i", "c", Timestamp::from_secs(5));
        assert!(info.values().all(|v| v != "evil"), "{info:?}");
    }

    #[test]
    fn userinfo_has_the_recorded_claims_and_no_more() {
        let info = userinfo(&UserClaims::of(&session(&json!({"name": "Foo"}))), "i", "c", Timestamp::from_secs(5));
        assert_eq!(
            Value::Object(info),
            json!({"acr": "1", "amr": ["pwd"], "aud": ["c"], "auth_time": 3, "iat": 5, "iss": "i", "name": "Foo",
                "rat": 2, "sub": "shown"})
        );
    }

    /// The example of OpenID Connect Core appendix A.3 (`at_hash`) and A.4 (`c_hash`).
    #[test]
    fn half_hashes() {
        assert_eq!(half_hash(Alg::RS256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(
            half_hash(Alg::RS256, "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"),
            "LDktKdoQak3Pk0cnXxCltA"
        );
        for (alg, length) in [(Alg::ES256, 22), (Alg::ES384, 32), (Alg::PS512, 43), (Alg::EdDSA, 43)] {
            assert_eq!(half_hash(alg, "x").len(), length);
        }
    }
}
