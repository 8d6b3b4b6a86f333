//! JWT access tokens: their claims (contract: `iss sub aud client_id exp iat nbf jti scp ext`).

use super::expiry_hour::{AccessKey, ExpiryHour};
use super::opaque::signature_hash;
use crate::domain::world::Timestamp;
use serde_json::{Map, Value, json};
use uuid::{Builder, Uuid, Variant, Version};

/// Which claims carry the scope (`strategies.jwt.scope_claim`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeClaim {
    /// `scp`, a list.
    #[default]
    List,
    /// `scope`, a space-separated text (RFC 9068 §2.2.3).
    Text,
    /// Both.
    Both,
}

/// How JWT access tokens are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwtRules {
    /// Which claims carry the scope.
    pub scope_claim: ScopeClaim,
    /// Leave `nbf` out.
    pub exclude_not_before: bool,
    /// Extra claims that are copied to the top level.
    pub allowed_top_level: Vec<String>,
    /// Keep all extra claims in `ext`.
    pub mirror_top_level: bool,
    /// Without mirroring: keep those in `ext` that were not copied to the top level.
    pub preserve_ext: bool,
}

/// What a JWT access token says.
#[derive(Clone, Copy, Debug)]
pub struct AccessClaims<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// `jti`.
    pub jti: &'a str,
    /// Granted scopes.
    pub scope: &'a [String],
    /// `aud`.
    pub audience: &'a [String],
    /// `iat` and `nbf`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// Extra claims of the consent app or of a hook.
    pub ext: &'a Map<String, Value>,
}

/// Claims that extra claims may never replace.
const RESERVED: [&str; 11] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scp", "scope", "ext"];

/// The claims of a JWT access token.
pub fn claims(of: &AccessClaims<'_>, rules: &JwtRules) -> Map<String, Value> {
    let mut out = Map::new();
    let mut left = of.ext.clone();
    for name in &rules.allowed_top_level {
        if let (false, Some(value)) = (RESERVED.contains(&name.as_str()), of.ext.get(name)) {
            out.insert(name.clone(), value.clone());
            left.remove(name);
        }
    }
    if rules.mirror_top_level {
        out.insert("ext".to_owned(), Value::Object(of.ext.clone()));
    } else if rules.preserve_ext || rules.allowed_top_level.is_empty() {
        out.insert("ext".to_owned(), Value::Object(left));
    }
    for (name, value) in [
        ("iss", json!(of.issuer)),
        ("sub", json!(of.subject)),
        ("aud", json!(of.audience)),
        ("client_id", json!(of.client_id)),
        ("jti", json!(of.jti)),
        ("iat", json!(of.issued_at.secs())),
        ("exp", json!(of.expires_at.secs())),
    ] {
        out.insert(name.to_owned(), value);
    }
    if !rules.exclude_not_before {
        out.insert("nbf".to_owned(), json!(of.issued_at.secs()));
    }
    if rules.scope_claim != ScopeClaim::Text {
        out.insert("scp".to_owned(), json!(of.scope));
    }
    if rules.scope_claim != ScopeClaim::List {
        out.insert("scope".to_owned(), json!(of.scope.join(" ")));
    }
    out
}

/// The `jti` of an access token that ends in that hour: a UUID of version 8 (RFC 9562 §5.8), random but for the hour,
/// which comes first. Before there were hours it was one of version 4.
pub fn jti(hour: ExpiryHour, random: Uuid) -> Uuid {
    let mut bytes = random.into_bytes();
    let (head, _) = bytes.split_at_mut(2);
    head.copy_from_slice(&hour.number().to_be_bytes());
    Builder::from_bytes(bytes).with_variant(Variant::RFC4122).with_version(Version::Custom).into_uuid()
}

/// The `jti` of the JWT that tells what an opaque access token means, always the same for one token: a UUID of version 8,
/// which no other `jti` is and which does not tell the key of the row.
pub fn phantom_jti(key: &AccessKey) -> Uuid {
    let hash = signature_hash("phantom", key);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(hash.split_at(16).0);
    Builder::from_bytes(bytes).with_variant(Variant::RFC4122).with_version(Version::Custom).into_uuid()
}

fn hour(jti: &str) -> ExpiryHour {
    let known = Uuid::try_parse(jti).ok().filter(|id| id.get_version() == Some(Version::Custom));
    known.map_or(ExpiryHour::NONE, |id| {
        let [high, low, ..] = id.into_bytes();
        ExpiryHour::of_number(u16::from_be_bytes([high, low]))
    })
}

/// The row key of a JWT access token with that `jti`: its hour, and the hash of its signature part. `None` when it has
/// no three parts.
pub fn row_key(token: &str, jti: &str) -> Option<AccessKey> {
    let (_, signature) = token.rsplit_once('.')?;
    Some(hour(jti).before(&signature_hash("jwt", signature.as_bytes())))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn made(rules: &JwtRules, ext: &Value) -> Value {
        let ext = ext.as_object().cloned().unwrap_or_default();
        let scope = ["a".to_owned(), "b".to_owned()];
        let of = AccessClaims {
            issuer: "i",
            subject: "s",
            client_id: "c",
            jti: "j",
            scope: &scope,
            audience: &[],
            issued_at: Timestamp::from_secs(5),
            expires_at: Timestamp::from_secs(9),
            ext: &ext,
        };
        Value::Object(claims(&of, rules))
    }

    #[test]
    fn extra_claims_never_replace_ours() {
        let rules = JwtRules {
            allowed_top_level: ["sub", "tenant", "scp"].map(str::to_owned).to_vec(),
            mirror_top_level: true,
            ..JwtRules::default()
        };
        let x = made(&rules, &json!({"sub": "evil", "tenant": "t", "scp": ["admin"]}));
        assert_eq!((&x["sub"], &x["tenant"], &x["scp"]), (&json!("s"), &json!("t"), &json!(["a", "b"])));
        assert_eq!(x["ext"]["sub"], "evil");
    }

    #[test]
    fn the_hour_is_in_the_jti_and_older_ones_have_none() {
        let ends = ExpiryHour::of_number(7890);
        let id = jti(ends, Uuid::from_u128(u128::MAX));
        assert_eq!((id.get_version_num(), id.get_variant()), (8, Variant::RFC4122));
        assert_eq!(row_key("a.b.c", &id.to_string()).map(|key| ExpiryHour::at_head_of(&key)), Some(ends));
        let hash = signature_hash("jwt", b"c");
        for older in ["1ed2c0de-0000-4000-8000-000000000000", "", "other"] {
            assert_eq!(row_key("a.b.c", older), Some(ExpiryHour::NONE.before(&hash)));
        }
        assert_eq!(row_key("abc", ""), None);
    }

    #[test]
    fn a_phantom_has_the_same_jti_always_and_another_for_each_token() {
        let (a, b) = ([1; 34], [2; 34]);
        assert_eq!(phantom_jti(&a), phantom_jti(&a));
        assert_ne!(phantom_jti(&a), phantom_jti(&b));
        assert_eq!(phantom_jti(&a).get_version_num(), 8);
    }

    #[test]
    fn the_plain_shape_is_the_recorded_one() {
        let rules = JwtRules { mirror_top_level: true, ..JwtRules::default() };
        assert_eq!(
            made(&rules, &json!({})),
            json!({"ext": {}, "iss": "i", "sub": "s", "aud": [], "client_id": "c", "jti": "j", "iat": 5, "exp": 9, "nbf": 5, "scp": ["a", "b"]})
        );
        let both = JwtRules { scope_claim: ScopeClaim::Both, exclude_not_before: true, ..rules };
        let x = made(&both, &json!({}));
        assert!(x.get("nbf").is_none());
        assert_eq!(x["scope"], "a b");
    }
}
