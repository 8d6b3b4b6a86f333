//! What an application checks of an ID token (OpenID Connect Core §3.1.3.7).

use crate::crypto::jose::Unverified;
use crate::crypto::jwk::{Alg, parse_set};
use serde_json::{Map, Value};

/// What the token must say.
pub struct Expected<'a> {
    /// The issuer, byte for byte.
    pub issuer: &'a str,
    /// The client.
    pub client_id: &'a str,
    /// `nonce` of the request; `None` after a refresh, when it may be left out.
    pub nonce: Option<&'a str>,
    /// Seconds since the epoch.
    pub now: i64,
}

/// The claims of a token that is signed by one of `keys` and says what it must; else what is wrong with it.
pub fn check(token: &str, keys: &Value, expected: &Expected<'_>) -> Result<Map<String, Value>, String> {
    let broken = |e: crate::crypto::jose::JoseError| format!("its signature: {e}");
    let claims = Unverified::parse(token).map_err(broken)?;
    let claims = claims.verify(&parse_set(keys), &[Alg::RS256, Alg::ES256]).map_err(broken)?;
    let wrong = |what: &str| Err(format!("its {what} is not the one expected"));
    if claims.str("iss") != Some(expected.issuer) {
        return wrong("iss");
    }
    if claims.audience().map_err(broken)? != [expected.client_id] {
        return wrong("aud");
    }
    if claims.time("exp").map_err(broken)?.is_none_or(|exp| exp <= expected.now) {
        return wrong("exp");
    }
    if expected.nonce.is_some_and(|nonce| claims.str("nonce") != Some(nonce)) {
        return wrong("nonce");
    }
    Ok(claims.0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use crate::crypto::jose::SigningKey;
    use crate::crypto::jwk::generate;
    use serde_json::json;

    #[test]
    fn every_claim_that_matters_is_looked_at() {
        let jwk = generate(Alg::ES256, 2048, "k".into(), "sig").unwrap();
        let key = SigningKey::from_jwk(&jwk).unwrap();
        let keys = json!({"keys": [jwk.public().into_value()]});
        let good = json!({"iss": "i", "aud": ["c"], "exp": 100, "nonce": "n", "sub": "s"});
        let expected = |nonce, now| Expected { issuer: "i", client_id: "c", nonce, now };
        let token = |over: Value| {
            let mut claims = good.as_object().unwrap().clone();
            claims.extend(over.as_object().unwrap().clone());
            key.sign_jwt("JWT", &claims).unwrap()
        };
        assert_eq!(check(&token(json!({})), &keys, &expected(Some("n"), 99)).unwrap()["sub"], "s");
        assert!(check(&token(json!({})), &keys, &expected(None, 99)).is_ok());
        for (over, now) in [
            (json!({"iss": "j"}), 99),
            (json!({"aud": ["d"]}), 99),
            (json!({"aud": ["c", "d"]}), 99),
            (json!({"nonce": "m"}), 99),
            (json!({"nonce": null}), 99),
            (json!({"exp": null}), 99),
            (json!({}), 100),
        ] {
            assert!(check(&token(over.clone()), &keys, &expected(Some("n"), now)).is_err(), "{over}");
        }
        let other = generate(Alg::ES256, 2048, "k".into(), "sig").unwrap();
        let others = json!({"keys": [other.public().into_value()]});
        assert!(check(&token(json!({})), &others, &expected(Some("n"), 99)).is_err());
    }
}
