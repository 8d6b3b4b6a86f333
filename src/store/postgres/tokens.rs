//! The verbs on tokens in PostgreSQL.

use super::batch::{self, Kinds};
use super::faults::Fault;
use super::{PostgresStore, ended, feed, mixed, partitions, reader, run};
use crate::domain::token::expiry_hour::ExpiryHour;
use crate::store::{
    AccessKey, AccessToken, Change, FoundRefresh, SignatureHash, StoreError, TokenStore, Verdict, Write,
};
use async_trait::async_trait;
use deadpool_postgres::Object;
use uuid::Uuid;

async fn write_once(conn: &mut Object, nid: Uuid, writes: &[Write]) -> Result<Vec<Verdict>, Fault> {
    if batch::is_plain(writes) {
        Ok(batch::in_order(Kinds::of(writes.iter().enumerate()).write(&*conn, nid).await?))
    } else {
        mixed::write_mixed(conn, nid, writes).await
    }
}

/// An hour that has no partition gets it, and the batch is written then: of the first try nothing is left.
async fn write(conn: &mut Object, nid: Uuid, writes: &[Write]) -> Result<Vec<Verdict>, Fault> {
    match write_once(conn, nid, writes).await {
        Err(fault) if fault.is_without_partition() => {
            let hours = writes.iter().filter_map(batch::issued).map(|t| ExpiryHour::at_head_of(&t.signature));
            partitions::make_missed(conn, hours).await?;
            write_once(conn, nid, writes).await
        }
        answer => answer,
    }
}

const NEW_FAMILY: &str = "UPDATE client SET family_id = $3, version = version + 1 WHERE nid = $1 AND id = $2";
const INSERT_FAMILY: &str = "
    INSERT INTO token_family (id, nid, client_id, subject, shared, version) VALUES ($1, $2, $3, $3, true, 1)";

/// The client's row first: it waits for issues under way, whose families then end with the others.
async fn renew_family(conn: &mut Object, nid: Uuid, client: &str, family: Uuid) -> Result<bool, Fault> {
    let tx = conn.transaction().await?;
    let statement = tx.prepare_cached(NEW_FAMILY).await?;
    let found = tx.execute(&statement, &[&nid, &client, &family]).await? > 0;
    ended::end_families(&tx, nid, client).await?;
    if found {
        let statement = tx.prepare_cached(INSERT_FAMILY).await?;
        tx.execute(&statement, &[&family, &nid, &client]).await?;
        feed::notify(&tx, &feed::client_payload(client)).await?;
    }
    tx.commit().await?;
    Ok(found)
}

#[async_trait]
impl TokenStore for PostgresStore {
    async fn write_tokens(&self, writes: &[Write]) -> Result<Vec<Verdict>, StoreError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let nid = self.nid().await?;
        run!(self, |conn| write(conn, nid, writes))
    }

    async fn access_token(&self, signature: &AccessKey) -> Result<Option<AccessToken>, StoreError> {
        self.access_tokens.get(signature).await
    }

    async fn access_tokens(&self, signatures: &[AccessKey]) -> Result<Vec<Option<AccessToken>>, StoreError> {
        reader::get_all(self, signatures).await
    }

    async fn refresh_token(&self, signature: &SignatureHash) -> Result<Option<FoundRefresh>, StoreError> {
        self.refresh_tokens.get(signature).await
    }

    async fn delete_tokens_of_client(&self, client_id: &str, new_family: Uuid) -> Result<bool, StoreError> {
        if client_id.contains('\0') {
            return Ok(false);
        }
        let nid = self.nid().await?;
        self.end_most_families(nid, client_id).await?;
        let found = run!(self, |conn| renew_family(conn, nid, client_id, new_family))?;
        if found {
            self.tell(Change::Client(client_id.to_owned()));
        }
        self.delete_all_dead(nid, client_id).await?;
        Ok(found)
    }
}
