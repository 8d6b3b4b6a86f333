//! What has to be done so that a client is as it is declared.
//!
//! `apply` alone calls it. Invariant: nothing here asks a server, and no value of a secret is in what is shown.

use anyhow::ensure;
use serde_json::{Value, json};

use super::apply_files::Declared;
use crate::domain::client::Client;

/// The member of a client's metadata that says which set made it.
pub const MARK: &str = "signet_apply_set";

/// What is done to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is not there.
    Create,
    /// It is there and differs.
    Update,
    /// It is there and is the same.
    Keep,
    /// It is there, made by an earlier apply, and declared no more.
    Delete,
}

/// One member that differs. The values of a secret are null.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The member.
    pub member: String,
    /// What the server has.
    pub from: Value,
    /// What is declared.
    pub to: Value,
}

/// What is done to one client, and what is sent for it.
pub struct Step {
    /// `client_id`.
    pub id: String,
    /// What is done.
    pub action: Action,
    /// What differs, for an update.
    pub differences: Vec<Difference>,
    /// The body of the request; null where none is sent.
    pub body: Value,
}

/// Whether the client proves itself by a secret.
pub fn takes_secret(client: &Client) -> bool {
    matches!(client.auth_method(), "client_secret_basic" | "client_secret_post")
}

/// The set that made the client.
pub fn set_of(client: &Client) -> Option<&str> {
    client.metadata.get(MARK)?.as_str()
}

/// For a client that is not there.
///
/// # Errors
/// When it needs a secret that nobody would know.
pub fn creation(declared: &Declared, set: &str) -> anyhow::Result<Step> {
    knows_its_secret(declared, false)?;
    let client = marked(declared.client.clone(), Value::from(set));
    let body = body(&client, declared.secret.as_deref())?;
    Ok(Step { id: client.client_id, action: Action::Create, differences: Vec::new(), body })
}

/// For a client that is there as `shown`; `secret_is_right` tells whether it has the declared secret already.
///
/// # Errors
/// When it needs a secret that nobody would know.
pub fn change(declared: &Declared, shown: &Client, secret_is_right: bool) -> anyhow::Result<Step> {
    knows_its_secret(declared, takes_secret(shown))?;
    // A client that somebody else made never gets the mark, so that it is never deleted for want of a line in a file.
    let wanted = match shown.metadata.get(MARK) {
        Some(mark) => marked(declared.client.clone(), mark.clone()),
        None => declared.client.clone(),
    };
    let mut differences = differences(shown, &wanted)?;
    if !secret_is_right {
        differences.push(Difference { member: "client_secret".to_owned(), from: Value::Null, to: Value::Null });
    }
    let id = wanted.client_id.clone();
    if differences.is_empty() {
        return Ok(Step { id, action: Action::Keep, differences, body: Value::Null });
    }
    // A right secret is not sent again: the server would end the rotated ones beside it.
    let body = body(&wanted, declared.secret.as_deref().filter(|_| !secret_is_right))?;
    Ok(Step { id, action: Action::Update, differences, body })
}

/// For a client that is to be there no more.
pub fn deletion(client: Client) -> Step {
    Step { id: client.client_id, action: Action::Delete, differences: Vec::new(), body: Value::Null }
}

fn knows_its_secret(declared: &Declared, has_one: bool) -> anyhow::Result<()> {
    ensure!(
        declared.secret.is_some() || has_one || !takes_secret(&declared.client),
        "{} needs a secret: name one by client_secret_file, client_secret_env or client_secret; or set \
         token_endpoint_auth_method to none or private_key_jwt",
        declared.client.auth_method()
    );
    Ok(())
}

fn marked(mut client: Client, mark: Value) -> Client {
    if let Some(metadata) = client.metadata.as_object_mut() {
        metadata.insert(MARK.to_owned(), mark);
    }
    client
}

fn body(client: &Client, secret: Option<&str>) -> anyhow::Result<Value> {
    let mut body = serde_json::to_value(client)?;
    if let (Some(secret), Some(members)) = (secret, body.as_object_mut()) {
        members.insert("client_secret".to_owned(), json!(secret));
    }
    Ok(body)
}

fn differences(shown: &Client, wanted: &Client) -> anyhow::Result<Vec<Difference>> {
    let (mut before, after) = (serde_json::to_value(shown)?, serde_json::to_value(wanted)?);
    let mut found = Vec::new();
    for (member, to) in after.as_object().into_iter().flatten() {
        let from = before.get_mut(member).map(Value::take).unwrap_or_default();
        if from != *to {
            found.push(Difference { member: member.clone(), from, to: to.clone() });
        }
    }
    // What is set there and has no form when it is not set, such as jwks_uri.
    let unnamed = before.as_object().into_iter().flatten().filter(|(member, _)| after.get(*member).is_none());
    found.extend(unnamed.map(|(member, from)| Difference {
        member: member.clone(),
        from: from.clone(),
        to: Value::Null,
    }));
    found.sort_by(|one, other| one.member.cmp(&other.member));
    Ok(found)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn client(members: Value) -> Client {
        Client::from_members(members.as_object().cloned().unwrap()).unwrap()
    }

    fn declared(members: Value, secret: Option<&str>) -> Declared {
        Declared { at: "x".to_owned(), client: client(members), secret: secret.map(str::to_owned) }
    }

    fn members(step: &Step) -> Vec<&str> {
        step.differences.iter().map(|one| one.member.as_str()).collect()
    }

    #[test]
    fn only_what_it_makes_is_marked() {
        let file = declared(json!({"client_id": "a", "metadata": {"team": "b"}}), Some("a-secret"));
        let made = creation(&file, "mine").unwrap();
        assert_eq!(made.body.pointer("/metadata"), Some(&json!({"team": "b", MARK: "mine"})));
        assert_eq!(made.body.get("client_secret"), Some(&json!("a-secret")));
        let adopted = change(&file, &client(json!({"client_id": "a", "owner": "x"})), true).unwrap();
        assert_eq!(adopted.body.pointer("/metadata"), Some(&json!({"team": "b"})));
        assert_eq!(members(&adopted), ["metadata", "owner"]);
        let own = client(json!({"client_id": "a", "metadata": {MARK: "mine"}}));
        let kept = change(&file, &own, true).unwrap();
        assert_eq!(kept.body.pointer("/metadata"), Some(&json!({"team": "b", MARK: "mine"})));
        assert_eq!(set_of(&own), Some("mine"));
    }

    #[test]
    fn what_is_not_declared_goes_back_to_its_default() {
        let file = declared(json!({"client_id": "a", "scope": "x"}), None);
        let same = change(&file, &client(json!({"client_id": "a", "scope": "x", "odd": 1})), true).unwrap();
        assert_eq!((same.action, &same.body), (Action::Keep, &Value::Null));
        let drifted = json!({"client_id": "a", "scope": "x y", "jwks_uri": "https://a/", "skip_consent": true,
            "refresh_token_grant_id_token_lifespan": "1h"});
        let step = change(&file, &client(drifted), true).unwrap();
        let expected = ["jwks_uri", "refresh_token_grant_id_token_lifespan", "scope", "skip_consent"];
        assert_eq!((step.action, members(&step)), (Action::Update, expected.to_vec()));
    }

    #[test]
    fn a_right_secret_is_not_sent_again_and_a_wrong_one_is_not_shown() {
        let file = declared(json!({"client_id": "a"}), Some("a-secret"));
        let there = client(json!({"client_id": "a"}));
        assert_eq!(change(&file, &there, true).unwrap().action, Action::Keep);
        let step = change(&file, &there, false).unwrap();
        assert_eq!(step.body.get("client_secret"), Some(&json!("a-secret")));
        assert_eq!(members(&step), ["client_secret"]);
        assert!(!format!("{:?}", step.differences).contains("a-secret"));
        let other = change(&file, &client(json!({"client_id": "a", "owner": "x"})), true).unwrap();
        assert_eq!(other.body.get("client_secret"), None);
    }

    #[test]
    fn a_client_whose_secret_nobody_would_know_is_not_made() {
        let file = declared(json!({"client_id": "a"}), None);
        let told = creation(&file, "x").err().unwrap().to_string();
        assert!(told.contains("client_secret_file"), "{told}");
        let public = client(json!({"client_id": "a", "token_endpoint_auth_method": "none"}));
        assert!(change(&file, &public, true).is_err());
        assert!(change(&file, &client(json!({"client_id": "a"})), true).is_ok());
        assert!(
            creation(&declared(json!({"client_id": "a", "token_endpoint_auth_method": "none"}), None), "x").is_ok()
        );
    }
}
