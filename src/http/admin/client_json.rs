//! Clients in requests and answers. The handlers of `/admin/clients` and of dynamic registration call it.
//! Invariant: what is shown comes from the metadata alone, so that no hash can slip in.

use crate::domain::client::{Client, RegisteredClient};
use crate::domain::client_metadata::{MetadataRules, check_secret, normalize};
use crate::domain::error::OAuthError;
use crate::domain::world::Timestamp;
use crate::http::ApiError;
use crate::store::ClientRecord;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The lists that an answer to create and PUT shows as null when the request did not set them.
const NULL_WHEN_UNSET: [&str; 4] = ["redirect_uris", "grant_types", "response_types", "contacts"];

/// A body that could not be read, in Hydra's words.
pub fn undecodable(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::BadRequest(format!("Unable to decode the request body: {why}").replace('"', "'"))
}

/// Reads a body of any JSON.
///
/// # Errors
/// 400 that says where it stopped being JSON.
pub fn read_json(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|e| if e.is_eof() { undecodable(&"unexpected EOF") } else { undecodable(&e) })
}

/// Reads a body that must be a JSON object.
///
/// # Errors
/// 400 for anything else.
pub fn read_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match read_json(body)? {
        Value::Object(members) => Ok(members),
        _ => Err(undecodable(&"a JSON object is expected")),
    }
}

/// The metadata and the plain secret of a request.
pub struct Wanted {
    /// As sent.
    pub members: Map<String, Value>,
    /// The metadata, not yet checked.
    pub client: Client,
    /// The secret, checked; `None` when absent or empty.
    pub secret: Option<String>,
}

impl Wanted {
    /// Reads the members of a client.
    ///
    /// # Errors
    /// 400 for members of a wrong type and for a secret that will not do.
    pub fn read(members: Map<String, Value>) -> Result<Self, ApiError> {
        let secret = match members.get("client_secret") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
            Some(_) => return Err(undecodable(&"client_secret must be a text")),
        };
        if let Some(secret) = &secret {
            check_secret(secret).map_err(OAuthError::from)?;
        }
        let client = Client::from_members(members.clone()).map_err(|e| undecodable(&e))?;
        Ok(Self { members, client, secret })
    }
}

/// Checks the metadata and puts it into the record, with the columns drawn from it.
///
/// # Errors
/// 400 with the rule that it breaks.
pub fn put_into(record: &mut ClientRecord, client: Client, rules: &MetadataRules) -> Result<Client, ApiError> {
    let client = normalize(client, rules).map_err(OAuthError::from)?;
    record.document = client.to_document().map_err(|e| ApiError::Internal(e.to_string()))?;
    record.name.clone_from(&client.client_name);
    record.owner.clone_from(&client.owner);
    Ok(client)
}

/// The metadata in a record.
///
/// # Errors
/// When what is stored is not a client.
pub fn stored(record: &ClientRecord) -> Result<Client, ApiError> {
    Client::from_document(&record.document).map_err(|e| ApiError::Internal(format!("client document: {e}")))
}

/// A client as it is shown, without a secret.
///
/// # Errors
/// None that is known: every member has a JSON form.
pub fn shown(record: &ClientRecord, client: &Client) -> Result<Map<String, Value>, ApiError> {
    with_times(client, record.created_at, record.updated_at)
}

/// The same of a client from the shelf.
///
/// # Errors
/// As [`shown`].
pub fn shown_registered(of: &RegisteredClient) -> Result<Map<String, Value>, ApiError> {
    with_times(&of.client, of.created_at, of.updated_at)
}

fn with_times(client: &Client, created_at: Timestamp, updated_at: Timestamp) -> Result<Map<String, Value>, ApiError> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(client) else {
        return Err(ApiError::Internal("client without a JSON form".to_owned()));
    };
    members.insert("client_secret_expires_at".to_owned(), json!(0));
    members.insert("created_at".to_owned(), json!(created_at.whole_second().rfc3339()));
    members.insert("updated_at".to_owned(), json!(updated_at.whole_second().rfc3339()));
    Ok(members)
}

/// As Hydra echoes a body: lists that it did not set are null until the client is read again.
pub fn echo(members: &mut Map<String, Value>, sent: &Map<String, Value>) {
    for name in NULL_WHEN_UNSET {
        if sent.get(name).is_none_or(Value::is_null) {
            members.insert(name.to_owned(), Value::Null);
        }
    }
}

/// An id as one path segment (RFC 3986 §3.3).
pub fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing into a String never fails.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}
