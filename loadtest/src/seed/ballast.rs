//! The rows of ballast, in the sizes of real ones: all that knows the tables of a Signet database. Whoever changes a table
//! changes its columns and its line here.
//!
//! Every second access token is a user's, and twenty machine clients share the rest, or one has all of them. Signatures
//! are spread over the index as hashes are; what lives lives for another day to a month.

use std::fmt::Write as _;

use anyhow::Result;
use aws_lc_rs::digest::{SHA256, digest};
use tokio_postgres::Client;

use super::Shape;
use crate::chance::mixed;

/// What all clients of ballast begin with.
const CLIENT: &str = "signet-loadtest-ballast";
/// Ends of life that take turns.
const ENDS: u64 = 29;
/// The network's id, the moment of the request, and the ends of what lives and of what is over.
const FACTS: &str = "
    SELECT (SELECT id FROM network LIMIT 1)::text, (now() - interval '2 days')::text,
           array_agg((now() + interval '1 day' * (n + 1))::text ORDER BY n),
           array_agg((now() - interval '1 day' - interval '1 hour' * n)::text ORDER BY n)
    FROM generate_series(0, 28) n";
/// The hours that access tokens can be of, as their keys begin, but for the one that is dropped next.
const HOURS: &str = "
    SELECT array_agg(hour) FROM (
        SELECT right(c.relname, 4) AS hour FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'access_token'::regclass ORDER BY 1 OFFSET 1) hours";
/// The hour of those that are in none, which are deleted one by one.
const NO_HOUR: &str = "ffff";
/// The tables, in the order in which they can be emptied.
pub const TABLES: [&str; 4] = ["access_token", "refresh_token", "consent", "token_family"];
/// Those whose rows have an end of their own.
pub const ENDING: [&str; 2] = ["access_token", "refresh_token"];

/// The condition that a row is ballast.
pub fn is_ballast() -> String {
    format!("client_id LIKE '{CLIENT}%'")
}

/// A kind of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    AccessToken,
    RefreshToken,
    Consent,
    /// Of users; a machine client's needs no row to be in the way.
    TokenFamily,
}

impl Table {
    /// What takes its rows.
    pub const fn copy(self) -> &'static str {
        match self {
            Self::AccessToken => {
                "COPY access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, \
                 expires_at, session) FROM STDIN"
            }
            Self::RefreshToken => {
                "COPY refresh_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, \
                 expires_at, used_at, replayed, access_token, successor, session) FROM STDIN"
            }
            Self::Consent => {
                "COPY consent (id, nid, client_id, subject, session_id, scope, audience, skipped, remember, \
                 remember_until, requested_at, handled_at, detail, sweep_after) FROM STDIN"
            }
            Self::TokenFamily => "COPY token_family (id, nid, client_id, subject, shared, version) FROM STDIN",
        }
    }
}

/// What the rows need to know of the database.
pub struct Facts {
    nid: String,
    requested: String,
    alive: Vec<String>,
    over: Vec<String>,
    hours: Vec<String>,
    shape: Shape,
}

impl Facts {
    pub async fn read(client: &Client, shape: Shape) -> Result<Self> {
        let row = client.query_one(FACTS, &[]).await?;
        let (nid, requested) = (row.try_get(0)?, row.try_get(1)?);
        let hours = client.query_one(HOURS, &[]).await?.try_get(0)?;
        Ok(Self { nid, requested, alive: row.try_get(2)?, over: row.try_get(3)?, hours, shape })
    }

    /// When the tokens of number `n` end.
    fn ends(&self, n: u64) -> &str {
        let ends = if self.is_over(n) { &self.over } else { &self.alive };
        usize::try_from(n % ENDS).ok().and_then(|at| ends.get(at)).map_or("infinity", String::as_str)
    }

    const fn is_over(&self, n: u64) -> bool {
        n % 100 < self.shape.expired as u64
    }

    /// The key of access token `n`: what lives is spread over the hours.
    fn access_key(&self, n: u64) -> String {
        let turn = usize::try_from(n).unwrap_or(0) % self.hours.len().max(1);
        let hour = if self.is_over(n) { None } else { self.hours.get(turn) };
        key(hour.map_or(NO_HOUR, String::as_str), "access", n)
    }

    /// Writes row number `n` of a table, as COPY takes it.
    pub fn line(&self, table: Table, n: u64, text: &mut String) {
        let (nid, at, end, family) = (&self.nid, &self.requested, self.ends(n), uuid("family", n));
        // Writing to a string cannot fail.
        let _ = match table {
            Table::AccessToken => {
                let (client, family, session) = self.owner(n);
                let key = self.access_key(n);
                writeln!(
                    text,
                    "{key}\t{nid}\t{family}\t{client}\t{client}\t[\"load\"]\t[]\t{at}\t{end}\t{}",
                    bytes(session)
                )
            }
            Table::RefreshToken => {
                let (key, access) = (key("", "refresh", n), self.access_key(n));
                writeln!(
                    text,
                    "{key}\t{nid}\t{family}\t{CLIENT}\tballast-{n}\t[\"openid\",\"offline\"]\t[]\t{at}\t{end}\t\\N\t0\t\
                     {access}\t\\\\x\t{}",
                    bytes(330)
                )
            }
            Table::Consent => writeln!(
                text,
                "{}\t{nid}\t{CLIENT}\tballast-{n}\t{}\t[\"openid\",\"offline\"]\t[]\tf\tt\t\\N\t{at}\t{at}\t{}\t\\N",
                uuid("consent", n),
                uuid("session", n),
                bytes(620)
            ),
            Table::TokenFamily => writeln!(text, "{family}\t{nid}\t{CLIENT}\tballast-{n}\tf\t1"),
        };
    }

    /// Client, family and length of the session of access token `n`.
    fn owner(&self, n: u64) -> (String, String, usize) {
        if self.shape.one_client {
            return (CLIENT.to_owned(), uuid("machine", 0), 0);
        }
        if n % 2 == 1 {
            return (CLIENT.to_owned(), uuid("family", n), 160);
        }
        let machine = n / 2 % 20;
        (format!("{CLIENT}-{machine}"), uuid("machine", machine), 0)
    }
}

fn key(head: &str, kind: &str, n: u64) -> String {
    let hash = digest(&SHA256, format!("{kind}{n}").as_bytes());
    hash.as_ref().iter().fold(format!("\\\\x{head}"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn uuid(kind: &str, n: u64) -> String {
    let salt = kind.bytes().fold(0, |sum: u64, byte| mixed(sum ^ u64::from(byte)));
    format!("{:016x}{:016x}", mixed(salt ^ n), mixed(salt.wrapping_add(1) ^ n))
}

fn bytes(length: usize) -> String {
    format!("\\\\x{}", "5a".repeat(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(expired: u8, one_client: bool) -> Facts {
        let ends = |name: &str| vec![name.to_owned(); 29];
        let shape = Shape { expired, one_client };
        let (nid, requested, hours) = ("nid".to_owned(), "then".to_owned(), ends("1f00"));
        Facts { nid, requested, alive: ends("later"), over: ends("before"), hours, shape }
    }

    #[test]
    fn a_line_has_a_field_for_every_column() {
        for table in [Table::AccessToken, Table::RefreshToken, Table::Consent, Table::TokenFamily] {
            let mut text = String::new();
            facts(0, false).line(table, 7, &mut text);
            let columns = table.copy().matches(',').count() + 1;
            assert_eq!(text.trim_end().split('\t').count(), columns, "{table:?}: {text}");
            assert_eq!(text.matches('\n').count(), 1, "{text}");
        }
    }

    #[test]
    fn so_many_of_a_hundred_are_over_and_no_two_are_the_same() {
        let facts = facts(30, true);
        let mut lines = Vec::new();
        for n in 0..200 {
            let mut text = String::new();
            facts.line(Table::AccessToken, n, &mut text);
            lines.push(text);
        }
        assert_eq!(lines.iter().filter(|line| line.contains("\tbefore\t")).count(), 60);
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 200);
    }
}
