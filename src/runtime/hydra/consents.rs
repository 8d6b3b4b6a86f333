//! Remembered consents: whoever agreed in Hydra is not asked again here.
//!
//! Of each client and subject the newest is taken, which is the one that Hydra looks at. Its id stays, so that it comes
//! once.

use super::{Fate, Mover};
use crate::domain::hydra::{HydraConsent, Row};
use crate::http::flow::issue::{ConsentDetail, seal_detail};
use crate::store::{Consent, ConsentPage, FlowVerdict, FlowWrite, Grant, HydraTable};
use anyhow::anyhow;
use std::collections::HashMap;
use uuid::Uuid;

/// How many consents of a subject a dry run looks through.
const PAGE: usize = 500;

/// What was seen before the batch at hand.
#[derive(Default)]
pub(super) struct Before {
    /// Of whom the newest was taken last: rows come by client and subject.
    last: Option<(String, String)>,
    /// The versions of clients here; none for one that is not.
    clients: HashMap<String, Option<i64>>,
}

impl Mover {
    pub(super) async fn take_consents(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        let mut wanted = Vec::new();
        for row in rows {
            match HydraConsent::of(row, self.now) {
                Ok(Some(found)) if self.is_newest(&found) => wanted.push(found),
                Ok(_) => {}
                Err(odd) => {
                    let fate = Fate::Refused(odd.to_string());
                    self.report.add(HydraTable::Consents, row.text("consent_challenge_id"), fate);
                }
            }
        }
        for found in &wanted {
            self.look_up(&found.client_id, false).await?;
        }
        if self.dry_run { self.foretell(&wanted).await } else { self.grant(wanted, true).await }
    }

    fn is_newest(&mut self, found: &HydraConsent) -> bool {
        let of = Some((found.client_id.clone(), found.login.subject.clone()));
        let newest = self.consents.last != of;
        self.consents.last = of;
        newest
    }

    /// Reads a client's version, once unless it must be `fresh`, and has it known that consents are remembered for it.
    async fn look_up(&mut self, id: &str, fresh: bool) -> anyhow::Result<()> {
        if !fresh && self.consents.clients.contains_key(id) {
            return Ok(());
        }
        let client = self.store.client(id).await?;
        if let Some(client) = client.as_ref().filter(|client| !client.has_remembered_consent && !self.dry_run) {
            self.store.note_remembered_consent(&client.id).await?;
        }
        self.consents.clients.insert(id.to_owned(), client.map(|client| client.version));
        Ok(())
    }

    fn version(&self, id: &str) -> Option<i64> {
        self.consents.clients.get(id).copied().flatten()
    }

    fn refuse_stray(&mut self, found: &HydraConsent) {
        let fate = Fate::Refused("its client is not here".to_owned());
        self.report.add(HydraTable::Consents, &found.client_id, fate);
    }

    /// Writes them in one transaction. A client that was changed meanwhile is looked up again, once.
    async fn grant(&mut self, wanted: Vec<HydraConsent>, again: bool) -> anyhow::Result<()> {
        let (mut orders, mut ordered) = (Vec::new(), Vec::new());
        for found in wanted {
            match self.version(&found.client_id) {
                Some(version) => {
                    orders.push(FlowWrite::Grant(Box::new(self.order(&found, version)?)));
                    ordered.push(found);
                }
                None => self.refuse_stray(&found),
            }
        }
        let verdicts = if orders.is_empty() { Vec::new() } else { self.store.write_flows(&orders).await? };
        let mut changed = Vec::new();
        for (found, verdict) in ordered.into_iter().zip(verdicts) {
            let fate = match verdict {
                FlowVerdict::Done => Fate::New,
                FlowVerdict::Used => Fate::Same,
                FlowVerdict::SessionEnded => Fate::Left("its login session was ended here".to_owned()),
                FlowVerdict::ClientChanged if again => {
                    changed.push(found);
                    continue;
                }
                FlowVerdict::ClientChanged | FlowVerdict::ConsentRevoked => {
                    Fate::Refused("its client is being changed here: run this again".to_owned())
                }
            };
            self.report.add(HydraTable::Consents, &found.client_id, fate);
        }
        if changed.is_empty() {
            return Ok(());
        }
        for found in &changed {
            self.look_up(&found.client_id, true).await?;
        }
        Box::pin(self.grant(changed, false)).await
    }

    fn order(&self, found: &HydraConsent, client_version: i64) -> anyhow::Result<Grant> {
        let detail = ConsentDetail {
            flow_id: found.flow_id,
            query: found.query.clone(),
            device: found.device,
            scope: found.requested_scope.clone(),
            audience: found.requested_audience.clone(),
            oidc_context: found.oidc_context.clone(),
            login: found.login.clone(),
            granted: found.granted.clone(),
        };
        let detail = seal_detail(&self.sessions, &*self.entropy, found.id, &detail).map_err(|e| anyhow!("{e}"))?;
        let consent = Consent {
            id: found.id,
            client_id: found.client_id.clone(),
            subject: found.login.subject.clone(),
            session_id: found.session_id,
            scope: found.granted.scope.clone(),
            audience: found.granted.audience.clone(),
            skipped: false,
            remember: true,
            remember_until: found.remember_until,
            requested_at: found.requested_at,
            handled_at: self.now,
            detail,
        };
        Ok(Grant { client_version, consent, stands_on: None, code: None, access_token: None, device: None })
    }

    /// What [`Self::grant`] would come to.
    async fn foretell(&mut self, wanted: &[HydraConsent]) -> anyhow::Result<()> {
        for found in wanted {
            let fate = match self.is_here(found.id, &found.login.subject).await? {
                true => Fate::Same,
                false => Fate::New,
            };
            match (self.version(&found.client_id), self.would_come(&found.client_id)) {
                (None, false) => self.refuse_stray(found),
                _ => self.report.add(HydraTable::Consents, &found.client_id, fate),
            }
        }
        Ok(())
    }

    async fn is_here(&self, id: Uuid, subject: &str) -> anyhow::Result<bool> {
        let page = ConsentPage { subject: subject.to_owned(), session_id: None, before: None, limit: PAGE };
        Ok(self.store.consents(&page).await?.iter().any(|consent| consent.id == id))
    }

    /// Whether the clients of this run bring that one.
    fn would_come(&self, id: &str) -> bool {
        let refused =
            |remark: &super::Remark| remark.part == HydraTable::Clients && remark.what == "refused" && remark.id == id;
        self.report.parts.contains_key(&HydraTable::Clients) && !self.report.remarks.iter().any(refused)
    }
}
