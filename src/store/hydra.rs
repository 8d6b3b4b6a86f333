//! Reading a database of Ory Hydra's, for whoever moves from there. Changes nothing in it.
//!
//! Rows come as JSON by the names of their columns: releases differ in columns, and what is not understood must be seen.
//! All that one call reads is of one moment.

use super::{OpenError, open, postgres, sqlite};
use serde_json::{Map, Value};

/// How many rows come at a time.
pub(super) const BATCH: usize = 200;

/// A table of Hydra's, and which of its rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HydraTable {
    /// `hydra_client`, by id.
    Clients,
    /// `hydra_jwk`, by set, the newest first.
    Keys,
    /// `hydra_oauth2_obfuscated_authentication_session`: names that login apps chose for subjects.
    Subjects,
    /// `hydra_oauth2_flow`: consents to be remembered, by client and subject, the newest first.
    Consents,
    /// `hydra_oauth2_trusted_jwt_bearer_issuer`.
    Issuers,
}

impl HydraTable {
    /// Every table, in the order in which its rows can be taken over.
    pub const ALL: [Self; 5] = [Self::Clients, Self::Keys, Self::Subjects, Self::Consents, Self::Issuers];

    /// What is in it, in a word.
    #[must_use]
    pub const fn part(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Keys => "keys",
            Self::Subjects => "subjects",
            Self::Consents => "consents",
            Self::Issuers => "issuers",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Clients => "hydra_client",
            Self::Keys => "hydra_jwk",
            Self::Subjects => "hydra_oauth2_obfuscated_authentication_session",
            Self::Consents => "hydra_oauth2_flow",
            Self::Issuers => "hydra_oauth2_trusted_jwt_bearer_issuer",
        }
    }

    /// Without these nothing of it can be understood.
    pub(super) const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Clients => &["nid", "id", "client_secret", "redirect_uris", "updated_at"],
            Self::Keys => &["nid", "sid", "kid", "keydata", "created_at"],
            Self::Subjects => &["nid", "subject", "client_id", "subject_obfuscated"],
            Self::Consents => &[
                "nid",
                "subject",
                "client_id",
                "login_challenge",
                "consent_challenge_id",
                "consent_remember",
                "consent_skip",
                "granted_scope",
                "requested_at",
            ],
            Self::Issuers => &["nid", "issuer", "subject", "expires_at"],
        }
    }

    /// What follows `FROM table WHERE nid = …`.
    pub(super) const fn chosen(self) -> &'static str {
        match self {
            Self::Clients => "ORDER BY id",
            Self::Keys => "ORDER BY sid, created_at DESC, kid",
            Self::Subjects => "ORDER BY client_id, subject",
            Self::Consents => {
                "AND consent_remember AND NOT consent_skip ORDER BY client_id, subject, requested_at DESC, login_challenge"
            }
            Self::Issuers => "ORDER BY issuer, subject",
        }
    }
}

/// A row by the names of its columns.
pub type HydraRow = Map<String, Value>;

/// Reads these tables, in this order, in batches.
///
/// # Errors
/// [`OpenError`] when the database cannot be reached or is none of Hydra 2; whatever `take` ends it with.
pub async fn read_hydra<E, F>(dsn: &str, tables: &[HydraTable], take: &mut F) -> Result<(), E>
where
    E: From<OpenError>,
    F: AsyncFnMut(HydraTable, Vec<HydraRow>) -> Result<(), E>,
{
    match open::kind(dsn)? {
        open::Kind::Postgres => postgres::read_hydra(dsn, tables, take).await,
        open::Kind::Sqlite(place) => sqlite::read_hydra(&place, tables, take).await,
    }
}

const KNOWN: &str = "a database of Hydra 2.0 to 26.2 is read here";

/// Judges a table by its columns; `columns` is empty when there is no such table.
pub(super) fn check(table: HydraTable, columns: &[String]) -> Result<(), OpenError> {
    let has = |wanted: &str| columns.iter().any(|column| column == wanted);
    if columns.is_empty() {
        let (what, fix) = (format!("there is no table {}", table.name()), format!("{KNOWN}; is it the right one?"));
        return Err(OpenError::new(what, fix));
    }
    if table == HydraTable::Clients && !has("nid") {
        return Err(OpenError::new(
            "this is a database of Hydra 1",
            format!(
                "{KNOWN}: bring a copy up to date with `hydra migrate sql` of release 2, or move the clients by file"
            ),
        ));
    }
    match table.needs().iter().find(|wanted| !has(wanted)) {
        None => Ok(()),
        Some(missing) => Err(OpenError::new(format!("the table {} has no column {missing}", table.name()), KNOWN)),
    }
}

/// The answer when there is no network to read.
pub(super) fn no_network() -> OpenError {
    OpenError::new("the table networks is not there, or empty", format!("{KNOWN}; is it the right one?"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn columns(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_database_that_is_not_hydras_is_told_by_what_it_lacks() {
        for table in HydraTable::ALL {
            assert!(check(table, &columns(table.needs())).is_ok());
            assert!(check(table, &[]).unwrap_err().to_string().contains(table.name()));
        }
        let one = check(HydraTable::Clients, &columns(&["pk", "id", "redirect_uris"])).unwrap_err().to_string();
        assert!(one.contains("Hydra 1") && one.contains("2.0 to 26.2"), "{one}");
        let other = check(HydraTable::Keys, &columns(&["nid", "sid", "kid"])).unwrap_err().to_string();
        assert!(other.contains("hydra_jwk has no column keydata"), "{other}");
    }
}
