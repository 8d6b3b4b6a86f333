//! What became of everything that was read.

use crate::store::HydraTable;
use std::collections::BTreeMap;

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was not here and is now.
    New,
    /// It was here and is now as Hydra has it.
    Changed,
    /// It is here already.
    Same,
    /// It is left as it is, on either side, and nothing is wrong with that.
    Left(String),
    /// It cannot be taken over as it is.
    Refused(String),
}

/// How many things of one part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each counts the fate of its name")]
pub struct Tally {
    pub new: u64,
    pub changed: u64,
    pub same: u64,
    pub left: u64,
    pub refused: u64,
}

/// What an operator should know of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Of which part.
    pub part: HydraTable,
    /// Which one: a client's id, `set/kid`, an issuer.
    pub id: String,
    /// `left`, `refused`, or `note` for something that was taken over.
    pub what: &'static str,
    /// Why, and what to do about it.
    pub why: String,
}

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HydraReport {
    /// Every part that was asked for.
    pub parts: BTreeMap<HydraTable, Tally>,
    /// In the order of reading.
    pub remarks: Vec<Remark>,
}

impl HydraReport {
    pub(super) fn of(parts: &[HydraTable]) -> Self {
        Self { parts: parts.iter().map(|part| (*part, Tally::default())).collect(), remarks: Vec::new() }
    }

    pub(super) fn add(&mut self, part: HydraTable, id: &str, fate: Fate) {
        let tally = self.parts.entry(part).or_default();
        match fate {
            Fate::New => tally.new += 1,
            Fate::Changed => tally.changed += 1,
            Fate::Same => tally.same += 1,
            Fate::Left(why) => {
                tally.left += 1;
                self.remark(Remark { part, id: id.to_owned(), what: "left", why });
            }
            Fate::Refused(why) => {
                tally.refused += 1;
                self.remark(Remark { part, id: id.to_owned(), what: "refused", why });
            }
        }
    }

    pub(super) fn note(&mut self, part: HydraTable, id: &str, why: impl Into<String>) {
        self.remark(Remark { part, id: id.to_owned(), what: "note", why: why.into() });
    }

    /// A thousand consents to one client that is not here are one remark.
    fn remark(&mut self, remark: Remark) {
        if self.remarks.last() != Some(&remark) {
            self.remarks.push(remark);
        }
    }

    /// How many things were looked at.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.parts.values().map(|t| t.new + t.changed + t.same + t.left + t.refused).sum()
    }

    /// How many things were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.parts.values().map(|t| t.new + t.changed).sum()
    }

    /// How many things could not be taken over.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.parts.values().map(|t| t.refused).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_the_same_is_said_once() {
        let mut report = HydraReport::of(&[HydraTable::Clients, HydraTable::Consents]);
        for fate in [Fate::New, Fate::New, Fate::Changed, Fate::Same, Fate::Left("a".into()), Fate::Refused("b".into())]
        {
            report.add(HydraTable::Clients, "app", fate);
        }
        for _ in 0..3 {
            report.add(HydraTable::Consents, "gone", Fate::Refused("no client".into()));
        }
        report.note(HydraTable::Clients, "app", "look");
        assert_eq!((report.seen(), report.written(), report.refused()), (9, 3, 4));
        let said: Vec<_> = report.remarks.iter().map(|r| (r.id.as_str(), r.what)).collect();
        assert_eq!(said, [("app", "left"), ("app", "refused"), ("gone", "refused"), ("app", "note")]);
    }
}
