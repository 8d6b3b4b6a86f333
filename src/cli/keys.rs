//! Commands about JSON Web Keys: create, get, delete, import; `keys …` as in v1.
//!
//! Each function is one command. Invariant: `--public` output never holds a private member.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, ApiFlags, Body, Side, Spelling};
use super::clients::bytes_of;
use super::output::{Row, Show, say, text};

const HEADERS: [&str; 4] = ["SET ID", "KEY ID", "ALGORITHM", "USE"];

/// What RFC 7518 §6.2.2, §6.3.2, §6.4 and RFC 8037 §2 call private or secret.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// `create jwk`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The set to add a key to
    set: String,
    /// The key's id; chosen by the server when absent
    kid: Option<String>,
    /// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA
    #[arg(short = 'a', long, default_value = "RS256")]
    alg: String,
    /// sig or enc
    #[arg(short = 'u', long = "use", default_value = "sig", value_name = "USE")]
    used_for: String,
    /// Print the public part alone
    #[arg(long)]
    public: bool,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `get jwk`.
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The set
    set: String,
    /// One key of it; all when absent
    kid: Option<String>,
    /// Print the public part alone
    #[arg(long)]
    public: bool,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `delete jwk`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The set
    set: String,
    /// One key of it; the whole set when absent
    kid: Option<String>,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `import jwk`.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The set to put the keys into
    set: String,
    /// A JWK, a JWK set or a PEM file; `-` reads standard input
    file: PathBuf,
    /// The id for a key that has none (or, with a single key, another id)
    kid: Option<String>,
    /// The algorithm for a key that names none [default: by the key's type]
    #[arg(short = 'a', long)]
    alg: Option<String>,
    /// The use for a key that names none
    #[arg(short = 'u', long = "use", default_value = "sig", value_name = "USE")]
    used_for: String,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// Makes a key on the server and prints it.
///
/// # Errors
/// The server's refusal.
pub async fn create(args: Create, spelling: Spelling) -> anyhow::Result<()> {
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let kid = args.kid.unwrap_or_default();
    let body = json!({"alg": args.alg, "use": args.used_for, "kid": kid});
    let made = api.call(Method::POST, &["admin", "keys", &args.set], &[], Body::Json(&body)).await?.value;
    print(&args.show, &args.set, keys_in(&made), args.public, spelling)
}

/// Prints a set or one key of it.
///
/// # Errors
/// The server's refusal.
pub async fn get(args: Get, spelling: Spelling) -> anyhow::Result<()> {
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let mut path = vec!["admin", "keys", args.set.as_str()];
    path.extend(args.kid.as_deref());
    let found = api.call(Method::GET, &path, &[], Body::Empty).await?.value;
    print(&args.show, &args.set, keys_in(&found), args.public, spelling)
}

/// Deletes a set or one key of it.
///
/// # Errors
/// The server's refusal.
pub async fn delete(args: Delete, spelling: Spelling) -> anyhow::Result<()> {
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let mut path = vec!["admin", "keys", args.set.as_str()];
    path.extend(args.kid.as_deref());
    api.call(Method::DELETE, &path, &[], Body::Empty).await?;
    match spelling {
        Spelling::V1 => say(&format!("JSON Web Key Set deleted: {}", args.set)),
        Spelling::V2 => args.show.ids(&[args.kid.unwrap_or(args.set)]),
    }
}

/// Puts every key of a file into a set, each under its own id and algorithm.
///
/// # Errors
/// A file that holds no key; the server's refusal.
pub async fn import(args: Import, spelling: Spelling) -> anyhow::Result<()> {
    let mut keys = keys_of_file(&args.file, args.alg.as_deref())?;
    if keys.len() > 1 && args.kid.is_some() {
        bail!("{} holds {} keys; a kid on the command line fits one key only", args.file.display(), keys.len());
    }
    for key in &mut keys {
        complete(key, &args)?;
    }
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let mut stored = Vec::new();
    for key in &keys {
        let kid = text(key, "kid");
        let path = ["admin", "keys", args.set.as_str(), kid.as_str()];
        stored.push(api.call(Method::PUT, &path, &[], Body::Json(key)).await?.value);
    }
    match spelling {
        Spelling::V1 => say("JSON Web Key Set successfully imported!"),
        Spelling::V2 => print(&args.show, &args.set, stored, false, spelling),
    }
}

fn complete(key: &mut Value, args: &Import) -> anyhow::Result<()> {
    let alg = match &args.alg {
        Some(alg) => Some(alg.as_str()),
        None => usual_alg(key),
    };
    let (alg, file) = (alg.map(str::to_owned), args.file.display());
    let members = key.as_object_mut().with_context(|| format!("{file}: a key is a JSON object"))?;
    let absent = |value: Option<&Value>| value.and_then(Value::as_str).is_none_or(str::is_empty);
    if let Some(kid) = &args.kid {
        members.insert("kid".to_owned(), Value::from(kid.as_str()));
    } else if absent(members.get("kid")) {
        members.insert("kid".to_owned(), Value::from(uuid::Uuid::new_v4().to_string()));
    }
    if absent(members.get("use")) {
        members.insert("use".to_owned(), Value::from(args.used_for.as_str()));
    }
    if absent(members.get("alg")) {
        let alg = alg.with_context(|| format!("{file}: the key names no algorithm; give it with --alg"))?;
        members.insert("alg".to_owned(), Value::from(alg));
    }
    Ok(())
}

/// RFC 7518 §3.1 and RFC 8037: the signature algorithm that the key's type and curve allow.
fn usual_alg(key: &Value) -> Option<&'static str> {
    match (text(key, "kty").as_str(), text(key, "crv").as_str()) {
        ("RSA", _) => Some("RS256"),
        ("EC", "P-256") => Some("ES256"),
        ("EC", "P-384") => Some("ES384"),
        ("EC", "P-521") => Some("ES512"),
        ("OKP", "Ed25519") => Some("EdDSA"),
        ("oct", _) => Some("HS256"),
        _ => None,
    }
}

/// The keys of a file: a JWK, a JWK set, PEM or DER. `alg`, when given, stands in for the guess made about a key
/// from PEM or DER, which names no algorithm itself; a JWK keeps its own.
fn keys_of_file(file: &Path, alg: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let bytes = bytes_of(file)?;
    let keys = match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) => keys_in(&value),
        Err(_) => from_pem_or_der(&bytes, alg)
            .with_context(|| format!("{}: a JWK, a JWK set, PEM or DER is wanted", file.display()))?,
    };
    if keys.is_empty() || keys.iter().any(|key| text(key, "kty").is_empty()) {
        bail!("{}: a JSON Web Key or a set of them is wanted; there is no kty", file.display());
    }
    Ok(keys)
}

fn from_pem_or_der(bytes: &[u8], alg: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let mut keys = crate::crypto::jwk::import(bytes)?;
    for key in &mut keys {
        if let Some(alg) = alg {
            key.members_mut().insert("alg".to_owned(), Value::from(alg));
        }
        // The command line says what the key is for.
        key.members_mut().remove("use");
    }
    Ok(keys.iter().map(|key| Value::Object(key.members().clone())).collect())
}

fn keys_in(answer: &Value) -> Vec<Value> {
    match answer.get("keys") {
        Some(Value::Array(keys)) => keys.clone(),
        _ => vec![answer.clone()],
    }
}

fn print(show: &Show, set: &str, mut keys: Vec<Value>, public: bool, spelling: Spelling) -> anyhow::Result<()> {
    if public {
        keys = keys.into_iter().filter_map(public_part).collect();
    }
    if spelling == Spelling::V1 {
        return say(&serde_json::to_string_pretty(&json!({"keys": keys}))?);
    }
    let rows: Vec<Row> = keys.iter().map(|key| row(set, key)).collect();
    let json = json!({"set": set, "keys": keys});
    match rows.as_slice() {
        [one] => show.record(&HEADERS, one, &json),
        all => show.list(&HEADERS, all, &json, ""),
    }
}

fn row(set: &str, key: &Value) -> Row {
    let kid = text(key, "kid");
    Row { id: kid.clone(), cells: vec![set.to_owned(), kid, text(key, "alg"), text(key, "use")] }
}

/// `None` for a symmetric key, which has no public part.
fn public_part(mut key: Value) -> Option<Value> {
    if text(&key, "kty") == "oct" {
        return None;
    }
    let members = key.as_object_mut()?;
    members.retain(|name, _| !PRIVATE.contains(&name.as_str()));
    Some(key)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_public_part_has_no_private_member() {
        let rsa =
            json!({"kty": "RSA", "n": "n", "e": "e", "d": "d", "p": "p", "q": "q", "dp": "1", "dq": "2", "qi": "3"});
        assert_eq!(public_part(rsa), Some(json!({"kty": "RSA", "n": "n", "e": "e"})));
        assert_eq!(public_part(json!({"kty": "oct", "k": "secret"})), None);
    }

    #[test]
    fn a_file_holds_one_key_or_a_set() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k.json");
        let keys = |content: &str| {
            std::fs::write(&file, content).unwrap();
            keys_of_file(&file, None)
        };
        assert_eq!(keys(r#"{"kty":"EC","crv":"P-256"}"#).unwrap().len(), 1);
        assert_eq!(keys(r#"{"keys":[{"kty":"EC"},{"kty":"RSA"}]}"#).unwrap().len(), 2);
        assert!(keys("{}").is_err() && keys("no").is_err() && keys(r#"{"keys":[]}"#).is_err());
        assert_eq!(usual_alg(&json!({"kty": "EC", "crv": "P-384"})), Some("ES384"));
    }
}
