//! What files say that clients are to be: JSON or YAML, read and judged before a server is asked anything.
//!
//! `apply` alone calls it. Invariant: what it hands out has passed the rules that a server has, and no error shows a secret.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Number, Value};
use yaml_rust2::{Yaml, YamlLoader};

use super::apply_plan::{MARK, takes_secret};
use super::clients::{bytes_of, list_in};
use crate::domain::client::Client;
use crate::domain::client_metadata::{MetadataRules, check_secret, normalize};

/// What the API shows and takes from nobody: a client that was read there can be applied.
const SHOWN_ONLY: [&str; 5] =
    ["client_secret_expires_at", "created_at", "updated_at", "registration_access_token", "registration_client_uri"];
/// Where a secret may be: in the file, in another one, in a variable.
const SECRETS: [&str; 3] = ["client_secret", "client_secret_file", "client_secret_env"];

/// A client as a file declares it.
pub struct Declared {
    /// File, document, item and id, for people.
    pub at: String,
    /// Its metadata, with the defaults of all that the file does not name.
    pub client: Client,
    /// The secret that it is to have; `None` leaves the one that it has.
    pub secret: Option<String>,
}

/// Reads all clients of all files.
///
/// # Errors
/// Every fault that there is, each with its place.
pub fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Declared>> {
    let (mut clients, mut faults) = (Vec::new(), Vec::new());
    for file in files {
        let folder = file.parent().unwrap_or(Path::new(""));
        match all_of(file) {
            Ok(found) => {
                for (at, value) in found {
                    declared(at, value, folder).map_or_else(|fault| faults.push(fault), |one| clients.push(one));
                }
            }
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    faults.extend(named_twice(&clients));
    ensure!(faults.is_empty(), "nothing was applied:\n  {}", faults.join("\n  "));
    Ok(clients)
}

fn named_twice(clients: &[Declared]) -> Vec<String> {
    let mut seen = HashMap::new();
    let again = |one: &Declared| {
        let first = seen.insert(one.client.client_id.clone(), one.at.clone())?;
        Some(format!("{}: the same client_id stands in {first}", one.at))
    };
    clients.iter().filter_map(again).collect()
}

/// The clients of a file, each with its place.
fn all_of(file: &Path) -> anyhow::Result<Vec<(String, Value)>> {
    let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let text = String::from_utf8(bytes_of(file)?).ok().with_context(|| format!("{name} is no UTF-8 text"))?;
    let (mut found, mut empty) = (Vec::new(), true);
    for (number, document) in (1..).zip(documents(&text).with_context(|| name.clone())?) {
        if document.is_null() {
            continue;
        }
        empty = false;
        let at = format!("{name}, document {number}");
        match list_in(document) {
            Value::Array(items) => {
                found.extend((1..).zip(items).map(|(item, value): (u32, _)| (format!("{at}, item {item}"), value)));
            }
            one => found.push((at, one)),
        }
    }
    ensure!(!empty, "{name} holds no client; an empty list, [], says that there is to be none");
    Ok(found)
}

/// JSON is read as such, one value after the other: YAML contains it, but for tabs and half of its escapes.
fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['{', '['])
        && let Ok(json) = serde_json::Deserializer::from_str(text).into_iter().collect::<Result<Vec<Value>, _>>()
    {
        return Ok(json);
    }
    let documents = YamlLoader::load_from_str(text).context("neither JSON nor YAML")?;
    documents.into_iter().map(|one| if one.is_badvalue() { Ok(Value::Null) } else { json_of(one) }).collect()
}

fn json_of(yaml: Yaml) -> anyhow::Result<Value> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(flag) => Value::from(flag),
        Yaml::Integer(number) => Value::from(number),
        Yaml::Real(text) => {
            let number = text.parse().ok().and_then(Number::from_f64);
            Value::Number(number.context("infinity is no number to JSON; quote it to make it a text")?)
        }
        Yaml::String(text) => Value::from(text),
        Yaml::Array(items) => Value::Array(items.into_iter().map(json_of).collect::<anyhow::Result<_>>()?),
        Yaml::Hash(members) => Value::Object(members.into_iter().map(member_of).collect::<anyhow::Result<_>>()?),
        Yaml::Alias(_) | Yaml::BadValue => bail!("an alias without its anchor, or a tag that does not fit its value"),
    })
}

fn member_of((name, value): (Yaml, Yaml)) -> anyhow::Result<(String, Value)> {
    match name {
        Yaml::String(name) => Ok((name, json_of(value)?)),
        _ => bail!("the name of a member is no text; quote it"),
    }
}

fn declared(at: String, value: Value, folder: &Path) -> Result<Declared, String> {
    let Value::Object(members) = value else {
        return Err(format!("{at}: a client is an object with members such as client_id"));
    };
    let at = match members.get("client_id").and_then(Value::as_str) {
        Some(id) => format!("{at}, client {id:?}"),
        None => at,
    };
    match judged(members, folder) {
        Ok((client, secret)) => Ok(Declared { at, client, secret }),
        Err(error) => Err(format!("{at}: {error:#}")),
    }
}

fn judged(mut members: Map<String, Value>, folder: &Path) -> anyhow::Result<(Client, Option<String>)> {
    members.retain(|name, value| !value.is_null() && !SHOWN_ONLY.contains(&name.as_str()));
    let secret = secret_of(&mut members, folder)?;
    for (name, value) in &members {
        ensure!(is_member(name), "{name} is no member of a client");
        alone(name, value.clone()).with_context(|| name.clone())?;
    }
    if let Some(metadata) = members.get_mut("metadata") {
        // Whose client it is, is said by --set, not by a file that was read from a server.
        metadata.as_object_mut().context("metadata must be an object here")?.remove(MARK);
    }
    let client = Client::from_members(members)?;
    ensure!(!client.client_id.is_empty(), "client_id is missing: a client is found again by it");
    let client = normalize(client, &built_in())?;
    if secret.is_some() && !takes_secret(&client) {
        bail!("client_secret has no use: token_endpoint_auth_method is {}", client.auth_method());
    }
    Ok((client, secret))
}

/// Defaults that no server's settings change, so that a file means the same everywhere. What a server forbids it refuses.
fn built_in() -> MetadataRules {
    MetadataRules {
        subject_types: vec!["public".to_owned(), "pairwise".to_owned()],
        default_scope: Vec::new(),
        disallow_private_ip_ranges: false,
    }
}

fn alone(name: &str, value: Value) -> Result<Client, serde_json::Error> {
    Client::from_members(Map::from_iter([(name.to_owned(), value)]))
}

/// A list in a list is what no member takes, but for metadata, which takes anything; and unknown members are passed over.
fn is_member(name: &str) -> bool {
    name == "metadata" || alone(name, serde_json::json!([[]])).is_err()
}

/// The secret that is named; it is taken out of the members.
fn secret_of(members: &mut Map<String, Value>, folder: &Path) -> anyhow::Result<Option<String>> {
    let named: Vec<_> = SECRETS.into_iter().filter_map(|name| Some((name, members.remove(name)?))).collect();
    let (name, value) = match named.as_slice() {
        [] => return Ok(None),
        [one] => one,
        [(one, _), (other, _), ..] => bail!("{one} and {other} are both set; keep one of them"),
    };
    let text = value.as_str().with_context(|| format!("{name} must be a text; quote a number"))?;
    let secret = match *name {
        "client_secret_file" => in_file(&folder.join(text))?,
        "client_secret_env" => {
            std::env::var(text).ok().with_context(|| format!("{name}: there is no variable {text} with a text"))?
        }
        _ => text.to_owned(),
    };
    check_secret(&secret).with_context(|| (*name).to_owned())?;
    Ok(Some(secret))
}

/// A file's text without the end of its line.
fn in_file(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("client_secret_file {} cannot be read", path.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(text: &str) -> Result<Vec<Declared>, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "a secret of a file\r\n").unwrap();
        let file = dir.path().join("clients.yaml");
        std::fs::write(&file, text).unwrap();
        read(&[file]).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn one_client_a_list_documents_and_a_page_are_read_alike() {
        for text in [
            "client_id: a\n---\nclient_id: b\n",
            "# two\n- client_id: a\n- {client_id: b}\n",
            "---\n---\nclient_id: a\n---\n# nothing\n---\n- client_id: b\n",
            "[{client_id: a}, {client_id: b}]",
            "[{\"client_id\": \"a\"},\t{\"client_id\": \"b\"}]",
            "{\"client_id\": \"a\"}\n{\"client_id\": \"\\u0062\"}",
            "{\"items\": [{\"client_id\": \"a\"}, {\"client_id\": \"b\"}], \"next_page_token\": \"\", \"is_last_page\": true}",
        ] {
            let ids: Vec<String> = of(text).unwrap().into_iter().map(|one| one.client.client_id).collect();
            assert_eq!(ids, ["a", "b"], "{text}");
        }
        assert!(of("[]").unwrap().is_empty());
        assert_eq!(of("- client_id: a\n").unwrap()[0].client.scope, "offline_access offline openid");
    }

    #[test]
    fn a_secret_is_in_the_file_or_where_it_says() {
        let secret = |text: &str| of(text).unwrap().remove(0).secret;
        assert_eq!(secret("client_id: a").as_deref(), None);
        assert_eq!(secret("client_id: a\nclient_secret: 'right here'").as_deref(), Some("right here"));
        assert_eq!(secret("client_id: a\nclient_secret_file: key").as_deref(), Some("a secret of a file"));
        assert_eq!(secret("client_id: a\nclient_secret_env: PATH"), std::env::var("PATH").ok());
    }

    #[test]
    fn what_a_server_showed_can_be_declared() {
        let shown = json!({
            "client_id": "a", "skip_logout_consent": null, "jwks": {}, "client_secret_expires_at": 0,
            "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z", "metadata": {MARK: "x", "team": "b"},
        });
        let one = of(&shown.to_string()).unwrap().remove(0);
        assert_eq!(one.client.metadata, json!({"team": "b"}));
    }

    #[test]
    fn a_fault_is_told_with_its_place_and_without_a_secret() {
        for (text, place, what) in [
            ("", "clients.yaml", "holds no client"),
            ("# only words\n", "clients.yaml", "holds no client"),
            ("a: [", "clients.yaml", "line"),
            ("client_id: a\n---\n- client_id: b\n- 5\n", "document 2, item 2", "a client is an object"),
            ("client_id: a\n---\nclient_name: x\n", "document 2", "client_id is missing"),
            ("client_id: 5\n", "document 1", "client_id: invalid type"),
            ("client_id: a\nredirect_uri: x\n", "client \"a\"", "redirect_uri is no member"),
            ("client_id: a\n<<: x\n", "client \"a\"", "<< is no member"),
            ("client_id: a\nredirect_uris: x\n", "client \"a\"", "redirect_uris: invalid type"),
            ("client_id: a\nredirect_uris: ['http://a/#b']\n", "client \"a\"", "fragments"),
            ("client_id: a\nmetadata: [x]\n", "client \"a\"", "metadata must be an object"),
            ("client_id: a\nmetadata: {x: .inf}\n", "clients.yaml", "no number to JSON"),
            ("client_id: a\nmetadata: {1: x}\n", "clients.yaml", "no text"),
            ("client_id: a\nclient_id: b\n", "clients.yaml", "duplicate"),
            ("client_id: a\n---\nclient_id: a\n", "document 2", "the same client_id stands in"),
            ("client_id: a\nclient_secret: 12345678\n", "client \"a\"", "client_secret must be a text"),
            ("client_id: a\nclient_secret: 'hide'\n", "client \"a\"", "at least 6"),
            ("client_id: a\nclient_secret: hide-this\nclient_secret_env: X\n", "client \"a\"", "are both set"),
            ("client_id: a\nclient_secret_file: none\n", "client \"a\"", "cannot be read"),
            ("client_id: a\nclient_secret_env: NO_SUCH_VARIABLE_HERE\n", "client \"a\"", "NO_SUCH_VARIABLE_HERE"),
            ("client_id: a\nclient_secret: hide-this\ntoken_endpoint_auth_method: none\n", "client \"a\"", "no use"),
            (
                "client_id: a\ntoken_endpoint_auth_method: client_secret_jwt\n",
                "client \"a\"",
                "token_endpoint_auth_method",
            ),
        ] {
            let told = of(text).err().unwrap_or_else(|| panic_on(text));
            assert!(
                told.starts_with("nothing was applied:\n") && told.contains(place) && told.contains(what),
                "{told}"
            );
            assert!(!told.contains("hide") && !told.contains("12345678"), "{told}");
        }
        let both = of("- redirect_uri: x\n- client_id: b\n  scope: [x]\n").err().unwrap();
        assert!(both.contains("item 1") && both.contains("item 2"), "{both}");
    }

    fn panic_on(text: &str) -> String {
        format!("taken: {text}")
    }

    #[test]
    fn every_member_of_the_api_is_known_and_no_other() {
        let all = serde_json::to_value(Client::default()).unwrap();
        assert!(all.as_object().unwrap().keys().all(|name| is_member(name)));
        assert!(is_member("jwks_uri") && is_member("request_uris") && is_member("skip_logout_consent"));
        assert!(!is_member("redirect_uri") && !is_member("lifespans") && !is_member(""));
    }
}
