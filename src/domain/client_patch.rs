//! What a JSON Patch (RFC 6902) does to a client.
//!
//! The handler of PATCH calls it. Invariant: the document patched holds no secret and no hash, so that no operation
//! can copy one out; a `client_secret` that a patch leaves there is a new plain one.

use json_patch::jsonptr::{Pointer, PointerBuf};
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

/// Deeper documents could not be read back.
const DEEPEST: usize = 32;

/// Why a patch is refused; the text says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatchError(String);

/// A patch that has been read and may be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientPatch(Vec<PatchOperation>);

impl ClientPatch {
    /// Reads a patch: a list of `add`, `remove` and `replace`.
    ///
    /// # Errors
    /// For another operation, a malformed one, or a path that no patch may touch.
    pub fn read(patch: &Value) -> Result<Self, PatchError> {
        let list = patch.as_array().ok_or_else(|| PatchError("a JSON Patch is a list of operations".to_owned()))?;
        list.iter().map(operation).collect::<Result<_, _>>().map(Self)
    }

    /// Applies it to the members of a client. `replace` of what is missing adds it, and parents come into being.
    ///
    /// # Errors
    /// When an operation does not fit the document; `members` is then half patched and must be thrown away.
    pub fn apply(&self, members: Map<String, Value>) -> Result<Map<String, Value>, PatchError> {
        let mut document = Value::Object(members);
        self.0.iter().try_for_each(|one| step(&mut document, one))?;
        // The document is stored as text, and reading it back has a limit of depth.
        match serde_json::from_str(&document.to_string()) {
            Ok(Value::Object(members)) => Ok(members),
            _ => Err(PatchError("the patched document is nested too deeply".to_owned())),
        }
    }

    /// The new plain secret that the patch sets, whatever the client is.
    ///
    /// # Errors
    /// When it is not a text.
    pub fn secret(&self) -> Result<Option<String>, PatchError> {
        let mut secret = None;
        for one in self.0.iter().filter(|one| first(one.path()).as_deref() == Some("client_secret")) {
            secret = match one {
                PatchOperation::Add(AddOperation { value, .. })
                | PatchOperation::Replace(ReplaceOperation { value, .. }) => {
                    let text = value.as_str().ok_or_else(|| PatchError("client_secret must be a text".to_owned()))?;
                    Some(text.to_owned())
                }
                _ => None,
            };
        }
        Ok(secret)
    }
}

/// The name of the member that a path goes into.
fn first(path: &Pointer) -> Option<String> {
    path.tokens().next().map(|token| token.decoded().into_owned())
}

fn operation(given: &Value) -> Result<PatchOperation, PatchError> {
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    let op = text("op").ok_or_else(|| PatchError("an operation needs a text 'op'".to_owned()))?;
    let path = text("path").ok_or_else(|| PatchError("an operation needs a text 'path'".to_owned()))?;
    let path = PointerBuf::parse(path).map_err(|_| PatchError(format!("path '{path}' is not a JSON Pointer")))?;
    check_path(&path)?;
    let value = || given.get("value").cloned().ok_or_else(|| PatchError(format!("operation '{op}' needs a 'value'")));
    Ok(match op {
        "add" => PatchOperation::Add(AddOperation { value: value()?, path }),
        "replace" => PatchOperation::Replace(ReplaceOperation { value: value()?, path }),
        "remove" => PatchOperation::Remove(RemoveOperation { path }),
        other => return Err(PatchError(format!("unsupported operation '{other}': use add, remove or replace"))),
    })
}

/// Ids are given once; earlier secrets come and go by rotation alone.
fn check_path(path: &Pointer) -> Result<(), PatchError> {
    if path.tokens().count() > DEEPEST {
        return Err(PatchError("the path is too deep".to_owned()));
    }
    let Some(name) = first(path) else {
        return Err(PatchError("the whole document cannot be patched; name a member".to_owned()));
    };
    let plain = name.to_lowercase().replace(['_', '-'], "");
    if plain == "id" || plain.starts_with("rotated") {
        return Err(PatchError(format!("path '{path}' must not be patched")));
    }
    Ok(())
}

fn step(document: &mut Value, one: &PatchOperation) -> Result<(), PatchError> {
    let exists = one.path().resolve(document).is_ok();
    let one = match one {
        PatchOperation::Replace(ReplaceOperation { path, value }) if !exists => {
            PatchOperation::Add(AddOperation { path: path.clone(), value: value.clone() })
        }
        other => other.clone(),
    };
    if let PatchOperation::Add(add) = &one {
        make_parents(document, &add.path);
    }
    json_patch::patch(document, std::slice::from_ref(&one))
        .map_err(|e| PatchError(format!("path '{}': {}", one.path(), e.kind)))
}

/// Creates missing parents: lists where an index follows, objects elsewhere.
fn make_parents(document: &mut Value, path: &Pointer) {
    let tokens: Vec<String> = path.tokens().map(|token| token.decoded().into_owned()).collect();
    let mut here = document;
    for (name, next) in tokens.iter().zip(tokens.iter().skip(1)) {
        let below = match here {
            Value::Object(members) => {
                let child = members.entry(name).or_insert(Value::Null);
                if child.is_null() {
                    let index = next == "-" || next.bytes().all(|b| b.is_ascii_digit());
                    *child = if index { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
                }
                Some(child)
            }
            Value::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            _ => None,
        };
        let Some(below) = below else { return };
        here = below;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(patch: Value) -> Result<Value, String> {
        let document = json!({"client_name": "n", "audience": ["a"], "metadata": {}});
        let patched = ClientPatch::read(&patch).and_then(|p| p.apply(document.as_object().cloned().unwrap()));
        patched.map(Value::Object).map_err(|e| e.to_string())
    }

    #[test]
    fn patches_that_work() {
        for (patch, at, value) in [
            (json!([{"op": "replace", "path": "/client_name", "value": "x"}]), "/client_name", json!("x")),
            (json!([{"op": "replace", "path": "/owner", "value": "x"}]), "/owner", json!("x")),
            (json!([{"op": "add", "path": "/audience/-", "value": "b"}]), "/audience", json!(["a", "b"])),
            (json!([{"op": "add", "path": "/audience/0", "value": "b"}]), "/audience", json!(["b", "a"])),
            (json!([{"op": "add", "path": "/request_uris/-", "value": "b"}]), "/request_uris", json!(["b"])),
            (json!([{"op": "add", "path": "/metadata/a/b", "value": 1}]), "/metadata", json!({"a": {"b": 1}})),
            (json!([{"op": "remove", "path": "/audience/0"}]), "/audience", json!([])),
            (json!([]), "/client_name", json!("n")),
        ] {
            assert_eq!(run(patch.clone()).unwrap().pointer(at), Some(&value), "{patch}");
        }
    }

    #[test]
    fn patches_that_are_refused() {
        let deep = "/metadata".to_owned() + &"/a".repeat(1000);
        let nested = (0..120).fold(json!(1), |inner, _| json!([inner]));
        for patch in [
            json!({"op": "replace"}),
            json!([1]),
            json!([{"op": "test", "path": "/client_name", "value": "n"}]),
            json!([{"op": "copy", "from": "/a", "path": "/b"}]),
            json!([{"op": "move", "from": "/a", "path": "/b"}]),
            json!([{"op": "add", "path": "/x"}]),
            json!([{"op": "add", "path": "x", "value": 1}]),
            json!([{"op": "add", "path": "", "value": {}}]),
            json!([{"op": "replace", "path": "/ID", "value": 1}]),
            json!([{"op": "add", "path": "/rotated_secrets", "value": []}]),
            json!([{"op": "add", "path": "/Rotated-Secrets/0", "value": 1}]),
            json!([{"op": "remove", "path": "/nothing"}]),
            json!([{"op": "add", "path": "/audience/7", "value": "x"}]),
            json!([{"op": "add", "path": "/client_name/x", "value": "x"}]),
            json!([{"op": "add", "path": deep, "value": 1}]),
            json!([{"op": "add", "path": "/metadata/a/b/c/d/e/f/g/h/i", "value": nested}]),
            json!([{"op": "replace", "path": "/audience/9999999999999999999999", "value": 1}]),
        ] {
            assert!(run(patch.clone()).is_err(), "{patch}");
        }
    }

    #[test]
    fn the_last_word_on_the_secret_counts() {
        let secret = |patch: Value| ClientPatch::read(&patch).unwrap().secret();
        assert_eq!(secret(json!([{"op": "replace", "path": "/client_name", "value": "x"}])), Ok(None));
        let set = |text: &str| json!({"op": "replace", "path": "/client_secret", "value": text});
        assert_eq!(secret(json!([set("one"), set("two")])), Ok(Some("two".to_owned())));
        assert_eq!(secret(json!([set("one"), {"op": "remove", "path": "/client_secret"}])), Ok(None));
        assert!(secret(json!([{"op": "add", "path": "/client_secret", "value": {}}])).is_err());
    }
}
