//! JWT access tokens: their claims (contract: `iss sub aud client_id exp iat nbf jti scp ext`).

use super::expiry_hour::{AccessKey, ExpiryHour};
use super::opaque::signature_hash;
use crate::domain::world::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
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

impl<'a> AccessClaims<'a> {
    /// These claims as those rules have them written.
    pub fn under(&'a self, rules: &'a JwtRules) -> impl Serialize + 'a {
        Written { of: self, rules }
    }
}

struct Written<'a> {
    of: &'a AccessClaims<'a>,
    rules: &'a JwtRules,
}

impl Written<'_> {
    /// The extra claims that are copied to the top level, each once.
    fn copied(&self) -> impl Iterator<Item = (&String, &Value)> {
        let names = &self.rules.allowed_top_level;
        let wanted = names.iter().enumerate().filter(|(n, name)| {
            !RESERVED.contains(&name.as_str()) && names.iter().take(*n).all(|before| before != *name)
        });
        wanted.filter_map(|(_, name)| self.of.ext.get_key_value(name))
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (of, rules) = (self.of, self.rules);
        let mut out = serializer.serialize_map(None)?;
        for (name, value) in self.copied() {
            out.serialize_entry(name, value)?;
        }
        if rules.mirror_top_level || rules.allowed_top_level.is_empty() {
            out.serialize_entry("ext", of.ext)?;
        } else if rules.preserve_ext {
            let left = |name: &String| self.copied().all(|(copied, _)| copied != name);
            let left: Map<_, _> = of.ext.clone().into_iter().filter(|(name, _)| left(name)).collect();
            out.serialize_entry("ext", &left)?;
        }
        out.serialize_entry("iss", of.issuer)?;
        out.serialize_entry("sub", of.subject)?;
        out.serialize_entry("aud", of.audience)?;
        out.serialize_entry("client_id", of.client_id)?;
        out.serialize_entry("jti", of.jti)?;
        out.serialize_entry("iat", &of.issued_at.secs())?;
        out.serialize_entry("exp", &of.expires_at.secs())?;
        if !rules.exclude_not_before {
            out.serialize_entry("nbf", &of.issued_at.secs())?;
        }
        if rules.scope_claim != ScopeClaim::Text {
            out.serialize_entry("scp", of.scope)?;
        }
        if rules.scope_claim != ScopeClaim::List {
            out.serialize_entry("scope", &of.scope.join(" "))?;
        }
        out.end()
    }
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
#[expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

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
        // Read from the text, which must name no claim twice.
        let text = serde_json::to_string(&of.under(rules)).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read.to_string().len(), text.len(), "{text}");
        read
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
    fn what_is_copied_is_written_once_and_may_leave_ext() {
        let copied = ["tenant", "tenant", "absent"].map(str::to_owned).to_vec();
        let ext = json!({"tenant": "t", "other": 1});
        for (mirror_top_level, preserve_ext, left) in
            [(true, false, Some(ext.clone())), (false, true, Some(json!({"other": 1}))), (false, false, None)]
        {
            let allowed_top_level = copied.clone();
            let rules = JwtRules { allowed_top_level, mirror_top_level, preserve_ext, ..JwtRules::default() };
            let x = made(&rules, &ext);
            assert_eq!((&x["tenant"], x.get("ext"), x.get("absent")), (&json!("t"), left.as_ref(), None));
        }
        let x = made(&JwtRules::default(), &ext);
        assert_eq!((x.get("tenant"), &x["ext"]), (None, &ext));
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
