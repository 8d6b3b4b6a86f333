//! Clients, with their secrets as Hydra hashed them.

use super::{AT_ONCE, Fate, Mover};
use crate::crypto::secret_hash::is_verifiable;
use crate::domain::client::Client;
use crate::domain::client_metadata::normalize;
use crate::domain::hydra::{HydraClient, LATER_GRANTS, Row};
use crate::http::admin::clients::first_version;
use crate::store::{ClientRecord, HydraTable, Replaced, StoreError};
use futures_util::future::join_all;

/// What became of one client, and what to know of it.
struct Taken {
    fate: Fate,
    notes: Vec<String>,
}

impl Taken {
    fn refused(why: impl Into<String>) -> Self {
        Self { fate: Fate::Refused(why.into()), notes: Vec::new() }
    }
}

impl Mover {
    pub(super) async fn take_clients(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        for some in rows.chunks(AT_ONCE) {
            let taken = join_all(some.iter().map(|row| self.client(row))).await;
            for (row, taken) in some.iter().zip(taken) {
                let (id, Taken { fate, notes }) = (row.text("id"), taken?);
                self.report.add(HydraTable::Clients, id, fate);
                notes.into_iter().for_each(|note| self.report.note(HydraTable::Clients, id, note));
            }
        }
        Ok(())
    }

    async fn client(&self, row: &Row) -> anyhow::Result<Taken> {
        let found = match HydraClient::of(row) {
            Ok(found) => found,
            Err(odd) => return Ok(Taken::refused(odd.to_string())),
        };
        let notes = notes(&found);
        let client = match normalize(found.client.clone(), &self.rules) {
            Ok(client) => client,
            Err(broken) => return Ok(Taken::refused(broken.hint)),
        };
        let before = self.store.client(&client.client_id).await?;
        let record = self.record(&found, &client, before.as_ref())?;
        let fate = match before {
            None => self.create(&record).await?,
            Some(before) if is_same(&before, &record, &client) => Fate::Same,
            Some(before) if before.updated_at > record.updated_at => Fate::Left(
                "it was changed here after it was changed in Hydra; to have Hydra's, delete it here and run this again"
                    .to_owned(),
            ),
            Some(before) => self.replace(&record, before.version).await?,
        };
        Ok(Taken { fate, notes })
    }

    fn record(
        &self,
        found: &HydraClient,
        client: &Client,
        before: Option<&ClientRecord>,
    ) -> anyhow::Result<ClientRecord> {
        Ok(ClientRecord {
            id: client.client_id.clone(),
            name: client.client_name.clone(),
            owner: client.owner.clone(),
            document: client.to_document()?,
            secret_hash: found.secret_hash.clone(),
            rotated_secret_hashes: found.rotated_secret_hashes.clone(),
            // Only Hydra's own secret checks the token that it gave out.
            registration_token_hash: before.and_then(|b| b.registration_token_hash.clone()),
            family_id: before.map_or_else(|| self.entropy.uuid(), |b| Ok(b.family_id))?,
            has_remembered_consent: before.is_some_and(|b| b.has_remembered_consent),
            version: before.map_or_else(|| first_version(&*self.entropy), |b| Ok(b.version))?,
            created_at: found.created_at,
            updated_at: found.updated_at,
        })
    }

    async fn create(&self, record: &ClientRecord) -> anyhow::Result<Fate> {
        if self.dry_run {
            return Ok(Fate::New);
        }
        match self.store.create_client(record).await {
            Ok(()) => Ok(Fate::New),
            Err(StoreError::Conflict) => Ok(meanwhile()),
            Err(error) => Err(error.into()),
        }
    }

    async fn replace(&self, record: &ClientRecord, version: i64) -> anyhow::Result<Fate> {
        if self.dry_run {
            return Ok(Fate::Changed);
        }
        match self.store.replace_client(record, version).await? {
            Replaced::Done => Ok(Fate::Changed),
            Replaced::Missing | Replaced::Stale => Ok(meanwhile()),
        }
    }
}

fn meanwhile() -> Fate {
    Fate::Refused("it was changed here at the same moment: run this again".to_owned())
}

/// Whether Hydra has it as it is here. The moment of the last change is Hydra's, so that later ones are told apart.
fn is_same(here: &ClientRecord, theirs: &ClientRecord, client: &Client) -> bool {
    here.secret_hash == theirs.secret_hash
        && here.rotated_secret_hashes == theirs.rotated_secret_hashes
        && here.created_at == theirs.created_at
        && Client::from_document(&here.document).is_ok_and(|here| here == *client)
}

fn notes(found: &HydraClient) -> Vec<String> {
    let mut notes = Vec::new();
    if !found.secret_hash.is_empty() && !is_verifiable(&found.secret_hash) {
        notes.push("its secret is hashed in a way that is not understood here: give it another secret".to_owned());
    }
    let later = found.client.grant_types.iter().filter(|grant| LATER_GRANTS.contains(&grant.as_str()));
    notes.extend(later.map(|grant| format!("its grant {grant} is not served here")));
    if !found.unknown.is_empty() {
        notes.push(format!("what Hydra has in {} is not known here and stays behind", found.unknown.join(", ")));
    }
    notes
}
