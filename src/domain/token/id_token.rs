//! The claims of ID tokens (OpenID Connect Core §2) and of the userinfo endpoint (§5.3.2).

use super::session::{TokenSession, UserClaims};
use crate::crypto::jwk::Alg;
use crate::domain::world::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};
use uuid::Uuid;

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

impl Serialize for IdTokenClaims<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let session = self.session;
        let about = AboutUser {
            issuer: self.issuer,
            client_id: self.client_id,
            subject: &session.client_subject,
            auth_time: session.auth_time,
            requested_at: session.requested_at,
            acr: &session.acr,
            amr: &session.amr,
            extra: &session.id_claims,
        };
        let mut out = serializer.serialize_map(None)?;
        about.write(&mut out)?;
        out.serialize_entry("exp", &self.expires_at.secs())?;
        out.serialize_entry("iat", &self.issued_at.secs())?;
        out.serialize_entry("jti", self.jti)?;
        out.serialize_entry("sid", &session.session_id)?;
        if !session.nonce.is_empty() {
            out.serialize_entry("nonce", &session.nonce)?;
        }
        for (name, text) in [("at_hash", self.access_token), ("c_hash", self.code)] {
            if let Some(text) = text {
                out.serialize_entry(name, &half_hash(self.alg, text))?;
            }
        }
        out.end()
    }
}

/// What the userinfo endpoint says: the claims of the ID token about the user.
#[derive(Clone, Copy, Debug)]
pub struct UserInfo<'a> {
    /// The user.
    pub of: &'a UserClaims,
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`: the client.
    pub client_id: &'a str,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `jti`, of an answer that is signed.
    pub jti: Option<Uuid>,
}

impl Serialize for UserInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let about = AboutUser {
            issuer: self.issuer,
            client_id: self.client_id,
            subject: &self.of.client_subject,
            auth_time: self.of.auth_time,
            requested_at: self.of.requested_at,
            acr: &self.of.acr,
            amr: &self.of.amr,
            extra: &self.of.id_claims,
        };
        let mut out = serializer.serialize_map(None)?;
        about.write(&mut out)?;
        out.serialize_entry("iat", &self.issued_at.secs())?;
        if let Some(jti) = &self.jti {
            out.serialize_entry("jti", jti)?;
        }
        out.end()
    }
}

/// What both say: the extra claims that take no name of ours, and our own.
struct AboutUser<'a> {
    issuer: &'a str,
    client_id: &'a str,
    subject: &'a str,
    auth_time: i64,
    requested_at: i64,
    acr: &'a str,
    amr: &'a [String],
    extra: &'a Map<String, Value>,
}

impl AboutUser<'_> {
    fn write<M: SerializeMap>(&self, out: &mut M) -> Result<(), M::Error> {
        for (name, value) in self.extra.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())) {
            out.serialize_entry(name, value)?;
        }
        out.serialize_entry("iss", self.issuer)?;
        out.serialize_entry("sub", self.subject)?;
        out.serialize_entry("aud", &[self.client_id])?;
        out.serialize_entry("auth_time", &self.auth_time)?;
        out.serialize_entry("rat", &self.requested_at)?;
        if !self.acr.is_empty() {
            out.serialize_entry("acr", self.acr)?;
        }
        if !self.amr.is_empty() {
            out.serialize_entry("amr", self.amr)?;
        }
        Ok(())
    }
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
    use serde_json::json;

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
        read(&IdTokenClaims {
            issuer: "https://i/",
            client_id: "c",
            jti: "j",
            session,
            issued_at: Timestamp::from_secs(5),
            expires_at: Timestamp::from_secs(9),
            alg: Alg::RS256,
            access_token,
            code,
        })
    }

    fn info(of: &UserClaims) -> Value {
        read(&UserInfo { of, issuer: "i", client_id: "c", issued_at: Timestamp::from_secs(5), jti: None })
    }

    /// Read from the text, which must name no claim twice.
    fn read(claims: &impl Serialize) -> Value {
        let text = serde_json::to_string(claims).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read.to_string().len(), text.len(), "{text}");
        read
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
        let info = info(&UserClaims::of(&bare));
        assert!(info.as_object().unwrap().values().all(|v| v != "evil"), "{info}");
    }

    #[test]
    fn userinfo_has_the_recorded_claims_and_no_more() {
        assert_eq!(
            info(&UserClaims::of(&session(&json!({"name": "Foo"})))),
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
