//! Ballast: rows as a Signet database would hold them after months, put in by SQL. They belong to a client that does
//! not exist and no token of them was ever issued, so they cannot be introspected; they make tables and indexes large.

use std::ops::Range;

use anyhow::{Context, Result};
use clap::Args;
use tokio_postgres::Client;

/// Rows of one statement.
const STEP: u64 = 20_000;

/// The key of the access token of number n: in the hours that last for another hour at least and in none by turns; in none
/// if it is over, so that the janitor deletes it.
macro_rules! access_key {
    () => {
        "(SELECT CASE WHEN n % 100 < $3 THEN '\\xffff'::bytea ELSE heads[1 + n % cardinality(heads)] END
                 || sha256(('access' || n)::bytea)
          FROM (SELECT array_agg(head) AS heads
                FROM (SELECT decode(right(c.relname, 4), 'hex') AS head
                      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                      WHERE i.inhparent = 'access_token'::regclass ORDER BY 1 OFFSET 1) there) all_there)"
    };
}

/// $1 and $2 are the first and the last number, $3 the percent that is over, $4 whether all are of one machine client.
/// Otherwise every second one is a user's, and twenty machine clients share the rest. Signatures are spread over the
/// index as hashes are; what lives lives for another day to a month.
const ACCESS_TOKENS: &str = concat!(
    "
    INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at, session)
    SELECT ",
    access_key!(),
    ", (SELECT id FROM network LIMIT 1), md5(family)::uuid, client, client,
           '[\"load\"]', '[]', now() - interval '2 days',
           now() + CASE WHEN n % 100 < $3 THEN -interval '1 day' ELSE interval '1 day' END
                 + (n % 29) * CASE WHEN n % 100 < $3 THEN -interval '1 hour' ELSE interval '1 day' END,
           decode(repeat('5a', user_bytes), 'hex')
    FROM (SELECT n, CASE WHEN $4 THEN 'machine' WHEN n % 2 = 0 THEN 'machine' || n / 2 % 20 ELSE 'ballast' || n END AS family,
                 'signet-loadtest-ballast' || CASE WHEN $4 OR n % 2 = 1 THEN '' ELSE '-' || n / 2 % 20 END AS client,
                 CASE WHEN $4 OR n % 2 = 0 THEN 0 ELSE 160 END AS user_bytes
          FROM generate_series($1::bigint, $2::bigint) n) rows ON CONFLICT DO NOTHING"
);
/// Of users; a machine client's needs no row to be in the way.
const FAMILIES: &str = "
    INSERT INTO token_family (id, nid, client_id, subject, shared, version)
    SELECT md5('ballast' || n)::uuid, (SELECT id FROM network LIMIT 1), 'signet-loadtest-ballast', 'ballast-' || n, false, 1
    FROM generate_series($1::bigint, $2::bigint) n ON CONFLICT DO NOTHING";
const CONSENTS: &str = "
    INSERT INTO consent (id, nid, client_id, subject, session_id, scope, audience, skipped, remember, remember_until,
                         requested_at, handled_at, detail, sweep_after)
    SELECT md5('ballast' || n)::uuid, (SELECT id FROM network LIMIT 1), 'signet-loadtest-ballast', 'ballast-' || n,
           md5('session' || n)::uuid, '[\"openid\",\"offline\"]', '[]', false, true, NULL,
           now() - interval '2 days', now() - interval '2 days', decode(repeat('5a', 620), 'hex'), NULL
    FROM generate_series($1::bigint, $2::bigint) n ON CONFLICT DO NOTHING";
const REFRESH_TOKENS: &str = concat!(
    "
    INSERT INTO refresh_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at,
                               used_at, replayed, access_token, successor, session)
    SELECT sha256(('refresh' || n)::bytea), (SELECT id FROM network LIMIT 1), md5('ballast' || n)::uuid,
           'signet-loadtest-ballast', 'ballast-' || n, '[\"openid\",\"offline\"]', '[]', now() - interval '2 days',
           now() + CASE WHEN n % 100 < $3 THEN -interval '1 day' ELSE interval '1 day' END
                 + (n % 29) * CASE WHEN n % 100 < $3 THEN -interval '1 hour' ELSE interval '1 day' END,
           NULL, 0, ",
    access_key!(),
    ", '\\x', decode(repeat('5a', 330), 'hex')
    FROM generate_series($1::bigint, $2::bigint) n ON CONFLICT DO NOTHING"
);
/// The order in which it can go.
const REMOVE: [&str; 4] = [
    "DELETE FROM access_token WHERE client_id LIKE 'signet-loadtest-ballast%'",
    "DELETE FROM refresh_token WHERE client_id LIKE 'signet-loadtest-ballast%'",
    "DELETE FROM consent WHERE client_id LIKE 'signet-loadtest-ballast%'",
    "DELETE FROM token_family WHERE client_id LIKE 'signet-loadtest-ballast%'",
];
/// What the tables and their indexes take, in bytes, and the rows that are dead and not yet vacuumed.
const SIZE: &str = "
    SELECT sum(pg_total_relation_size(relid))::bigint, sum(n_dead_tup)::bigint
    FROM pg_stat_user_tables WHERE relname ~ '^(access_token_[0-9a-f]{4}|refresh_token|consent|token_family)$'";

/// What the ballast is like.
#[derive(Args, Clone, Copy, Default)]
pub struct Shape {
    /// Percent of the tokens whose time is over, to give the janitor work.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub expired: u8,
    /// All access tokens are one machine client's: the most lopsided statistics a planner can meet.
    #[arg(long)]
    pub one_client: bool,
}

/// Puts in the rows of these numbers, of each kind, and lets PostgreSQL settle.
pub async fn fill(client: &Client, rows: Range<u64>, shape: Shape) -> Result<()> {
    let end = rows.end;
    let mut next = rows.start;
    while next < end {
        let last = (next + STEP).min(end);
        let (from, to, expired) = (i64::try_from(next)?, i64::try_from(last)? - 1, i64::from(shape.expired));
        for statement in [FAMILIES, CONSENTS] {
            client.execute(statement, &[&from, &to]).await.context("cannot seed: is this a Signet database?")?;
        }
        client.execute(REFRESH_TOKENS, &[&from, &to, &expired]).await.context("cannot seed")?;
        client.execute(ACCESS_TOKENS, &[&from, &to, &expired, &shape.one_client]).await.context("cannot seed")?;
        next = last;
        eprintln!("seeded {next} of {end} rows of each kind");
    }
    settle(client).await
}

/// Takes all ballast out.
pub async fn remove(client: &Client) -> Result<()> {
    for statement in REMOVE {
        client.execute(statement, &[]).await.context("cannot remove the ballast")?;
    }
    settle(client).await?;
    eprintln!("ballast removed");
    Ok(())
}

/// What an idle night would have done.
async fn settle(client: &Client) -> Result<()> {
    // Neither may run in a transaction, so each is a statement of its own. A role that is no superuser may be refused
    // the checkpoint.
    client.batch_execute("VACUUM (ANALYZE) access_token, refresh_token, consent, token_family").await?;
    if let Err(error) = client.batch_execute("CHECKPOINT").await {
        eprintln!("no checkpoint: {error}");
    }
    Ok(())
}

/// Megabytes of the seeded tables with their indexes, and their dead rows.
pub async fn size(client: &Client) -> Result<(f64, i64)> {
    let row = client.query_one(SIZE, &[]).await?;
    let bytes: i64 = row.try_get(0)?;
    Ok((bytes as f64 / 1_048_576.0, row.try_get(1)?))
}
