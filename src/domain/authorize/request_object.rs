//! Request objects (OpenID Connect Core §6, RFC 9101): parameters that the client signed.
//!
//! The signature is checked before; here is what the claims may say and how they join the rest.

use super::parameters::Parameters;
use crate::crypto::jose::Claims;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::world::Timestamp;
use serde_json::Value;

/// Claims of the object itself, which are no parameters.
const OWN: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

fn bad(hint: &str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequestObject, hint)
}

/// The request with the object's claims over its own parameters; scopes of both are asked for.
///
/// # Errors
/// `invalid_request_object` for an object of another client, for another server, out of its time, or one that points at
/// a further object.
pub fn merge(p: &Parameters, claims: &Claims, issuer: &str, now: Timestamp) -> Result<Parameters, OAuthError> {
    in_time(claims, now)?;
    for name in ["client_id", "iss"] {
        if claims.str(name).is_some_and(|id| Some(id) != p.get("client_id")) {
            return Err(bad("The request object was made for or by another client."));
        }
    }
    if claims.0.contains_key("request") || claims.0.contains_key("request_uri") {
        return Err(bad("A request object must not contain 'request' or 'request_uri'."));
    }
    let audience = claims.audience().map_err(|_| bad("Claim 'aud' of the request object is malformed."))?;
    if !audience.is_empty() && !audience.iter().any(|a| a.trim_end_matches('/') == issuer.trim_end_matches('/')) {
        return Err(bad("Claim 'aud' of the request object must name this server's issuer."));
    }
    let mut out = p.without(&["request", "request_uri"]);
    for (name, value) in claims.0.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        match value {
            Value::String(text) if name == "scope" => {
                let both = format!("{} {text}", p.text("scope"));
                out.set(name, both.trim());
            }
            Value::String(text) => out.set(name, text),
            Value::Null => {}
            other => out.set(name, &other.to_string()),
        }
    }
    Ok(out)
}

fn in_time(claims: &Claims, now: Timestamp) -> Result<(), OAuthError> {
    let read = |name| claims.time(name).map_err(|_| bad("A time of the request object is malformed."));
    if read("exp")?.is_some_and(|exp| exp <= now.secs()) {
        return Err(bad("The request object has expired."));
    }
    if read("nbf")?.is_some_and(|nbf| nbf > now.secs() + 30) {
        return Err(bad("The request object is not valid yet."));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(query: &str, claims: Value) -> Result<String, String> {
        let p = Parameters::parse(query).unwrap();
        let claims = Claims(claims.as_object().cloned().unwrap());
        merge(&p, &claims, "https://id.example/", Timestamp::from_secs(1000))
            .map(|p| p.to_query())
            .map_err(|e| e.code.as_str().to_owned())
    }

    #[test]
    fn claims_stand_over_parameters_and_scopes_join() {
        let claims = json!({"iss": "a", "aud": "https://id.example", "exp": 1001, "state": "s2", "scope": "openid", "max_age": 5,
            "claims": {"id_token": {}}});
        let query = "client_id=a&request=x&state=s1&scope=offline";
        let expected = "claims=%7B%22id_token%22%3A%7B%7D%7D&client_id=a&max_age=5&scope=offline+openid&state=s2";
        assert_eq!(merged(query, claims).unwrap(), expected);
    }

    #[test]
    fn a15_objects_of_others_out_of_time_or_nested_are_refused() {
        for claims in [
            json!({"client_id": "b"}),
            json!({"iss": "b"}),
            json!({"aud": "https://other.example"}),
            json!({"exp": 1000}),
            json!({"exp": "1"}),
            json!({"nbf": 2000}),
            json!({"request_uri": "https://a.example/x"}),
            json!({"request": "x"}),
        ] {
            assert_eq!(
                merged("client_id=a&request=x", claims.clone()),
                Err("invalid_request_object".to_owned()),
                "{claims}"
            );
        }
    }
}
