//! Keys, opened with Hydra's secret and sealed under ours.
//!
//! Hydra's newest key of a set that signs for us goes on signing: it is dated now, so that it follows whatever made itself
//! a key here meanwhile, and its age is counted from the move. Keys that are older than one which is here already had
//! their time here; brought again they would take over from it.

use super::{Fate, Mover};
use crate::actors::key_manager::{ACCESS_TOKEN_SET, ID_TOKEN_SET, KeyVault};
use crate::crypto::jose::SigningKey;
use crate::crypto::jwk::Jwk;
use crate::domain::hydra::Row;
use crate::domain::key_ring::ON_DEMAND_LEAD;
use crate::domain::world::Timestamp;
use crate::store::{HydraTable, KeyChange, KeyRow};
use std::time::Duration;

const OWN: [&str; 2] = [ID_TOKEN_SET, ACCESS_TOKEN_SET];

/// A key of Hydra's, and its row here, which is dated when it goes in.
#[derive(Clone)]
struct Theirs {
    key: Jwk,
    row: KeyRow,
    signs: bool,
}

/// A set of theirs, the newest first.
#[derive(Clone)]
struct Set {
    keys: Vec<Theirs>,
    own: bool,
    vault: KeyVault,
}

impl Mover {
    /// Takes over the sets that were read, each in one transaction.
    pub(super) async fn take_keys(&mut self) -> anyhow::Result<()> {
        let rows = std::mem::take(&mut self.keys);
        for of_set in rows.chunk_by(|a, b| a.text("sid") == b.text("sid")) {
            if let Some(first) = of_set.first() {
                self.take_set(first.text("sid"), of_set).await?;
            }
        }
        Ok(())
    }

    async fn take_set(&mut self, name: &str, rows: &[Row]) -> anyhow::Result<()> {
        let own = OWN.contains(&name);
        let (mut keys, mut broken) = (Vec::new(), false);
        for row in rows {
            match self.opened(name, row) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    broken = true;
                    self.report.add(HydraTable::Keys, &id(name, row.text("kid")), Fate::Refused(why));
                }
            }
        }
        if own && broken {
            for Theirs { row, .. } in keys {
                let why = "another key of its set cannot be taken over, and which of them signs must be certain";
                self.report.add(HydraTable::Keys, &id(name, &row.kid), Fate::Refused(why.to_owned()));
            }
            return Ok(());
        }
        let set = Set { keys, own, vault: self.vault.clone() };
        let here = self.store.keys(&[name.to_owned()]).await?;
        self.tell(name, &set, &here);
        if !self.dry_run && !set.lacking(&here).is_empty() {
            let decide = move |here: &[KeyRow], now: Timestamp| set.changes(here, now);
            self.store.change_keys(&[name.to_owned()], Box::new(decide)).await?;
        }
        Ok(())
    }

    fn opened(&self, set: &str, row: &Row) -> Result<Theirs, String> {
        let plain = self.secrets.open(row.text("keydata")).map_err(|e| e.to_string())?;
        let key: Jwk = serde_json::from_slice(&plain).map_err(|_| "it is no JSON Web Key".to_owned())?;
        if key.kid() != Some(row.text("kid")) {
            return Err("it is stored under another kid than its own".to_owned());
        }
        key.check().map_err(|e| e.to_string())?;
        let row = self.vault.seal(set, &key, self.now, self.now).map_err(|e| e.to_string())?;
        let signs = !key.is_symmetric() && SigningKey::from_jwk(&key).is_ok();
        Ok(Theirs { key, row, signs })
    }

    fn tell(&mut self, name: &str, set: &Set, here: &[KeyRow]) {
        let lacking = set.lacking(here);
        for (at, theirs) in set.keys.iter().enumerate() {
            let kid = &theirs.row.kid;
            let fate = match (lacking.contains(&at), here.iter().any(|row| row.kid == *kid)) {
                (true, true) => Fate::Changed,
                (true, false) => Fate::New,
                (false, _) if set.is_here(here, theirs) => Fate::Same,
                (false, _) => Fate::Left("a newer key of Hydra's is here already; its own time is over".to_owned()),
            };
            self.report.add(HydraTable::Keys, &id(name, kid), fate);
        }
        let signer = lacking.first().and_then(|at| set.keys.get(*at)).filter(|theirs| set.own && theirs.signs);
        if let Some(theirs) = signer {
            let when = if here.is_empty() { "" } else { " in ten seconds" };
            self.report.note(
                HydraTable::Keys,
                &id(name, &theirs.row.kid),
                format!("it is the one that signs here{when}"),
            );
        }
    }
}

fn id(set: &str, kid: &str) -> String {
    format!("{set}/{kid}")
}

impl Set {
    fn is_here(&self, here: &[KeyRow], theirs: &Theirs) -> bool {
        let same = |row: &KeyRow| {
            KeyVault::opened(&self.vault.sealer, row)
                .is_some_and(|(key, _)| key.thumbprint() == theirs.key.thumbprint())
        };
        here.iter().any(|row| row.kid == theirs.row.kid && same(row))
    }

    /// The places of those that are to go in.
    fn lacking(&self, here: &[KeyRow]) -> Vec<usize> {
        let is_here: Vec<bool> = self.keys.iter().map(|theirs| self.is_here(here, theirs)).collect();
        let known_signer = self.keys.iter().zip(&is_here).position(|(theirs, here)| theirs.signs && *here);
        let over =
            |at: usize, theirs: &Theirs| self.own && theirs.signs && known_signer.is_some_and(|known| at > known);
        let places = self.keys.iter().zip(is_here).enumerate();
        places.filter(|(at, (theirs, here))| !here && !over(*at, theirs)).map(|(at, _)| at).collect()
    }

    /// The newest gets the latest date: one microsecond apart keeps the order. Where a key signs already, replicas are to
    /// publish the new one first.
    fn changes(&self, here: &[KeyRow], now: Timestamp) -> Vec<KeyChange> {
        let lead = if self.own && !here.is_empty() { ON_DEMAND_LEAD } else { Duration::ZERO };
        let wanted = self.lacking(here).into_iter().rev().filter_map(|at| self.keys.get(at));
        let dated = wanted.zip(0..).map(|(theirs, after)| {
            let created_at = now.plus(Duration::from_micros(after));
            KeyChange::Put(KeyRow { created_at, activates_at: created_at.plus(lead), ..theirs.row.clone() })
        });
        dated.collect()
    }
}
