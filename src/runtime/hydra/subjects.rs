//! Names that login apps chose for subjects (`force_subject_identifier`): `sub` of ID tokens stays what it was.

use super::{AT_ONCE, Fate, Mover};
use crate::domain::hydra::Row;
use crate::store::{FlowWrite, ForcedSubject, HydraTable, Login, StoreError};
use futures_util::future::join_all;

impl Mover {
    pub(super) async fn take_subjects(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        for some in rows.chunks(AT_ONCE) {
            let read = some.iter().map(|row| self.store.forced_subject(row.text("client_id"), row.text("subject")));
            let here: Vec<Option<String>> = join_all(read).await.into_iter().collect::<Result<_, StoreError>>()?;
            let mut wanted = Vec::new();
            for (row, here) in some.iter().zip(here) {
                let forced = row.text("subject_obfuscated");
                let fate = match here.as_deref() {
                    None => {
                        wanted.push(forced_by(row));
                        Fate::New
                    }
                    Some(here) if here == forced => Fate::Same,
                    Some(_) => Fate::Left("a subject of this client has got another name here since".to_owned()),
                };
                self.report.add(HydraTable::Subjects, row.text("client_id"), fate);
            }
            if !self.dry_run && !wanted.is_empty() {
                self.store.write_flows(&wanted).await?;
            }
        }
        Ok(())
    }
}

fn forced_by(row: &Row) -> FlowWrite {
    let of = |column| row.text(column).to_owned();
    let forced = ForcedSubject { client_id: of("client_id"), subject: of("subject"), forced: of("subject_obfuscated") };
    FlowWrite::Login(Login { forced: Some(forced), ..Login::default() })
}
