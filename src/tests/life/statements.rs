//! How many SQL statements the hot paths cost, counted by the database itself.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Browser, Web, World, accept, param};

/// Tables that only the hot paths touch; statements that name none of them are the upkeep's. Loading a client is left
/// out: each worker does it once, on whichever connection comes first.
const COUNTED: &str = "SELECT coalesce(sum(calls), 0)::bigint, \
     coalesce(sum(calls) FILTER (WHERE query ~ '(INSERT INTO|UPDATE|DELETE FROM) '), 0)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
     WHERE d.datname = current_database() AND query ~* 'token|client|family|jti|assertion|consent|code|session|subject' AND query !~* 'pg_stat|listen|skip locked|handled_at between' \
     AND query !~ '^[[:space:]]*SELECT id, name, owner'";

/// Counts what a world's database was asked.
pub(super) struct Counter {
    client: tokio_postgres::Client,
}

impl Counter {
    pub(super) async fn on(world: &World) -> Option<Self> {
        let client = world.database.client().await;
        if client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await.is_err() {
            println!("SKIPPED: this PostgreSQL has no pg_stat_statements");
            return None;
        }
        Some(Self { client })
    }

    pub(super) async fn now(&self) -> i64 {
        self.all().await.0
    }

    /// Statements, and how many of them wrote, each in a transaction of its own.
    async fn all(&self) -> (i64, i64) {
        let row = self.client.query_one(COUNTED, &[]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// The texts that were run since the start, for a failure's message.
    async fn texts(&self) -> String {
        let rows = self
            .client
            .query(
                "SELECT calls, left(query, 160) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
                    WHERE d.datname = current_database() ORDER BY calls DESC LIMIT 25",
                &[],
            )
            .await
            .unwrap();
        rows.iter().map(|row| format!("{:>6} {}\n", row.get::<_, i64>(0), row.get::<_, String>(1))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_paths_cost_the_statements_they_should() {
    const TIMES: i64 = 20;
    let Some(world) = World::postgres(&[]).await else { return };
    let Some(count) = Counter::on(&world).await else { return };
    let peer = &world.a;
    let (id, secret) = world.machine().await;
    let mut tokens = vec![peer.token(&id, &secret).await];
    // The news that the client was created may come after its first use and take it off the shelf once more.
    for _ in 0..TIMES {
        peer.token(&id, &secret).await;
    }
    world.a.is_active(&tokens[0]).await;

    let before = count.now().await;
    for _ in 0..TIMES {
        tokens.push(peer.token(&id, &secret).await);
    }
    let alone = count.now().await - before;
    assert_eq!(alone, TIMES, "client_credentials\n{}", count.texts().await);

    let before = count.now().await;
    for token in tokens.iter().skip(1) {
        assert!(peer.is_active(token).await);
    }
    let introspected = count.now().await - before;
    assert_eq!(introspected, TIMES, "introspection\n{}", count.texts().await);

    let before = count.now().await;
    let batch = json!({"tokens": tokens[1..]});
    let batch = peer.admin(reqwest::Method::POST, "/admin/oauth2/introspect/batch", Some(batch)).await.json();
    assert!(batch.as_array().unwrap().iter().all(|one| one["active"] == true), "{batch}");
    assert_eq!(count.now().await - before, 1, "a batch of {TIMES} introspections\n{}", count.texts().await);

    let before = count.now().await;
    for token in tokens.iter().skip(1) {
        assert_eq!(peer.revoke(token, &id, &secret).await.status, 200);
    }
    let revoked = count.now().await - before;
    assert_eq!(revoked, TIMES, "revocation\n{}", count.texts().await);

    let before = count.now().await;
    for token in tokens.iter().skip(1) {
        let end = if token.ends_with('A') { 'B' } else { 'A' };
        let forged = format!("{}{end}Q", &token[..token.len() - 2]);
        assert!(!peer.is_active(&forged).await);
        assert_eq!(peer.revoke(&forged, &id, &secret).await.status, 200);
    }
    assert_eq!(count.now().await - before, 0, "a wrong HMAC\n{}", count.texts().await);
}

/// What so many calls of `work`, many at once, cost each.
async fn at_once<F: Future<Output = ()> + Send + 'static>(count: &Counter, work: impl Fn(usize) -> F) -> (i64, i64) {
    const TIMES: usize = 400;
    const AT_ONCE: usize = 40;
    let before = count.now().await;
    for round in 0..TIMES / AT_ONCE {
        let calls: Vec<_> = (0..AT_ONCE).map(|call| tokio::spawn(work(round * AT_ONCE + call))).collect();
        for call in calls {
            call.await.unwrap();
        }
    }
    (count.now().await - before, i64::try_from(TIMES).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_once_share_a_batch() {
    let Some(world) = World::postgres(&[]).await else { return };
    let Some(count) = Counter::on(&world).await else { return };
    let (id, secret) = world.machine().await;
    let token = world.a.token(&id, &secret).await;
    let issue = |_| {
        let (peer, id, secret) = (world.a.clone(), id.clone(), secret.clone());
        async move { drop(peer.token(&id, &secret).await) }
    };
    let (spent, times) = at_once(&count, issue).await;
    println!("{spent} statements for {times} tokens");
    assert!(spent * 2 < times, "{spent} statements for {times} tokens: hardly any is shared\n{}", count.texts().await);
    let introspect = |_| {
        let (peer, token) = (world.a.clone(), token.clone());
        async move { assert!(peer.is_active(&token).await) }
    };
    let (spent, times) = at_once(&count, introspect).await;
    println!("{spent} statements for {times} introspections");
    assert!(
        spent * 2 < times,
        "{spent} statements for {times} introspections: hardly any is shared\n{}",
        count.texts().await
    );
}

/// What a step has cost since the last one: statements, and how many of them wrote.
struct Steps<'a> {
    count: &'a Counter,
    before: (i64, i64),
    all: (i64, i64),
}

impl Steps<'_> {
    async fn cost(&mut self, what: &str, statements: i64, writes: i64) {
        let now = self.count.all().await;
        let spent = (now.0 - self.before.0, now.1 - self.before.1);
        assert_eq!(spent, (statements, writes), "{what}\n{}", self.count.texts().await);
        (self.before, self.all) = (now, (self.all.0 + spent.0, self.all.1 + spent.1));
    }
}

/// What the app says to a flow, and the statements that this costs step by step.
struct Flow {
    login: Value,
    consent: Value,
    start: i64,
    back: i64,
    back_writes: i64,
    grant: i64,
}

async fn flow(world: &World, count: &Counter, web: &Web, browser: &mut Browser, flow: Flow) {
    let peer = &world.a;
    let before = count.all().await;
    let mut steps = Steps { count, before, all: (0, 0) };
    let page = browser.ask(peer, web, &[]).await.location();
    steps.cost("to the login page", flow.start, 0).await;
    let challenge = param(&page, "login_challenge");
    peer.admin(reqwest::Method::GET, &format!("/admin/oauth2/auth/requests/login?login_challenge={challenge}"), None)
        .await;
    let back = accept(peer, "login", &page, flow.login).await;
    steps.cost("the login API", 0, 0).await;
    let page = browser.go(peer, &back).await.location();
    steps.cost("back from login", flow.back, flow.back_writes).await;
    let challenge = param(&page, "consent_challenge");
    let path = format!("/admin/oauth2/auth/requests/consent?consent_challenge={challenge}");
    peer.admin(reqwest::Method::GET, &path, None).await;
    let back = accept(peer, "consent", &page, flow.consent).await;
    steps.cost("the consent API", 0, 0).await;
    let code = param(&browser.go(peer, &back).await.location(), "code");
    steps.cost("back from consent", flow.grant, flow.grant).await;
    let tokens = peer.exchange(web, &code, &[]).await;
    steps.cost("code exchange", 2, 1).await;
    let whole = (3 + flow.start + flow.back + flow.grant - 1, 1 + flow.back_writes + flow.grant);
    assert_eq!(steps.all, whole, "the whole flow");
    let tokens = peer.refresh(web, &tokens.get("refresh_token"), &[]).await;
    steps.cost("refresh", 2, 1).await;
    assert_eq!(peer.userinfo(&tokens.get("access_token")).await.status, 200);
    steps.cost("userinfo", 1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_costs_the_statements_it_should() {
    let Some(world) = World::postgres(&[]).await else { return };
    let Some(count) = Counter::on(&world).await else { return };
    let web = world.web().await;
    // The first flow loads the client, and the news of its creation may take it off the shelf once more.
    for _ in 0..5 {
        world.tokens(&web).await;
    }
    let login = |remember: bool| json!({"subject": "somebody", "remember": remember});
    let consent = |remember: bool| json!({"grant_scope": ["openid", "offline"], "remember": remember});
    let stranger = &mut Browser::default();
    let plain = |remember_login, remember_consent| {
        let (login, consent) = (login(remember_login), consent(remember_consent));
        Flow { login, consent, start: 0, back: 0, back_writes: 0, grant: 1 }
    };
    flow(&world, &count, &web, stranger, plain(false, false)).await;
    let known = &mut Browser::default();
    flow(&world, &count, &web, known, Flow { back: 1, back_writes: 1, ..plain(true, false) }).await;
    // Who is known is looked up. The first consent that is remembered is noted at the client, once in its life.
    flow(&world, &count, &web, known, Flow { start: 1, grant: 2, ..plain(false, true) }).await;
    // From now on every login looks whether a consent is remembered.
    flow(&world, &count, &web, known, Flow { start: 1, back: 1, ..plain(false, false) }).await;
}

/// Rows of a client that many tokens were issued to, in all hours that there are, as they lie in a database that nobody
/// has analysed.
const BALLAST: &str = "
    INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at, session)
    SELECT h.hour || sha256((c.id || g::text)::bytea), c.nid, c.family_id, c.id, c.id, '[]', '[]', now(), now() + interval '1 hour', ''
    FROM client c, generate_series(1, 20000) g
    JOIN (SELECT decode(right(p.relname, 4), 'hex') AS hour, row_number() OVER () - 1 AS n
          FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
          WHERE i.inhparent = 'access_token'::regclass) h ON h.n = g % 4
    WHERE c.id = $1";
/// From now on the planner knows how lopsided they are, hour by hour: autovacuum analyses no table that is parted.
const ANALYSED: &str = "
    DO $$ DECLARE hour regclass; BEGIN
        FOR hour IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'access_token'::regclass LOOP
            EXECUTE 'ANALYZE ' || hour;
        END LOOP;
    END $$";
/// Pages that each statement reads or finds in memory, the worst first. Sweeps read more on purpose.
const PAGES: &str = "
    SELECT (shared_blks_hit + shared_blks_read) / calls, left(query, 300)
    FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
    WHERE d.datname = current_database() AND query ~* '(access|refresh)_token|token_family|consent|login_session'
          AND query !~* 'skip locked|generate_series|create |alter |drop table|analyze'
    ORDER BY 1 DESC LIMIT 5";

/// Grants of one client, and all that hangs on them, as after a busy hour.
const GRANTS: &str = "
    WITH one AS (SELECT * FROM consent WHERE client_id = $1 LIMIT 1),
    f AS (
        INSERT INTO token_family (id, nid, client_id, subject, shared, version)
        SELECT gen_random_uuid(), nid, client_id, subject, false, 1 FROM one, generate_series(1, 20000)
        RETURNING id, nid, client_id, subject),
    r AS (
        INSERT INTO refresh_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at,
                                   replayed, access_token, successor, session)
        SELECT sha256(id::text::bytea), nid, id, client_id, subject, '[]', '[]', now(), now() + interval '1 day', 0,
               sha256(''), '', '' FROM f)
    INSERT INTO consent (id, nid, client_id, subject, session_id, scope, audience, skipped, remember, requested_at, handled_at,
                         detail, sweep_after)
    SELECT f.id, f.nid, f.client_id, f.subject, gen_random_uuid(), '[]', '[]', false, true, now() - interval '30 days',
           now() - interval '30 days', one.detail, now() + interval '1 day'
    FROM f, one";

/// How many statements are of that kind, and the pages of the worst.
const OF_KIND: &str = "
    SELECT count(*), coalesce(max((shared_blks_hit + shared_blks_read) / calls), 0)
    FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
    WHERE d.datname = current_database() AND query ~* $1";
/// What is left of a client of before is looked for when another one is made.
const LEFT: &str = "^delete from consent where id = any";
/// All families of one client end, and the rows of those that have.
const ENDED: &str = "(update token_family|for update of t skip locked)";
/// What is over is looked for all the time, and mostly nothing is.
const SWEEPS: &str = "(order by expires_at|order by revoked_at|sweep_after <=)";

/// What was counted in this database begins anew.
const RESET: &str = "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()";

impl Counter {
    /// Hot statements, counted from now on, find what they need by its key.
    async fn finds_by_key(&self, world: &World, machine: &(String, String), web: &Web) {
        let (peer, (id, secret)) = (&world.a, machine);
        self.client.query(RESET, &[]).await.unwrap();
        for _ in 0..5 {
            let token = peer.token(id, secret).await;
            assert!(peer.is_active(&token).await);
            assert_eq!(peer.revoke(&token, id, secret).await.status, 200);
            let got = world.tokens(web).await;
            let again = peer.refresh(web, &got.get("refresh_token"), &[]).await;
            assert_eq!(peer.refresh(web, &got.get("refresh_token"), &[]).await.status, 400, "used");
            assert_eq!(peer.revoke(&again.get("refresh_token"), &web.id, &web.secret).await.status, 200);
        }
        let rows = self.client.query(PAGES, &[]).await.unwrap();
        assert_eq!(rows.len(), 5, "they were not counted");
        for row in &rows {
            let (pages, text): (i64, String) = (row.get(0), row.get(1));
            assert!(pages < 150, "{pages} pages for one statement:\n{text}");
        }
    }

    /// Statements of that kind were counted, and read few pages.
    async fn reads_little(&self, kind: &str) {
        let row = self.client.query_one(OF_KIND, &[&kind]).await.unwrap();
        let (statements, pages): (i64, i64) = (row.get(0), row.get(1));
        assert!(statements > 0 && pages < 150, "{statements} statements, {pages} pages: {kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_many_tokens_is_served_by_key() {
    let Some(world) = World::postgres(&[]).await else { return };
    let Some(count) = Counter::on(&world).await else { return };
    let (machine, web) = (world.machine().await, world.web().await);
    for client in [&machine.0, &web.id] {
        count.client.execute(BALLAST, &[client]).await.unwrap();
    }
    count.finds_by_key(&world, &machine, &web).await;
    // One client alone, so that to the planner its condition excludes nothing.
    count.client.execute("DELETE FROM access_token WHERE client_id = $1", &[&machine.0]).await.unwrap();
    count.client.batch_execute(ANALYSED).await.unwrap();
    count.finds_by_key(&world, &machine, &web).await;
}

/// Plans are made when the tables are empty and live on for a while after they are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_of_empty_tables_find_by_key_in_full_ones() {
    let Some(world) = World::postgres(&[("JANITOR_INTERVAL", "1s")]).await else { return };
    let Some(count) = Counter::on(&world).await else { return };
    let (machine, web) = (world.machine().await, world.web().await);
    count.finds_by_key(&world, &machine, &web).await;
    assert_eq!(count.client.execute(GRANTS, &[&web.id]).await.unwrap(), 20_000);
    count.finds_by_key(&world, &machine, &web).await;
    // Once it knows that all rows are one client's, its condition excludes nothing to the planner.
    count.client.batch_execute("ANALYZE").await.unwrap();
    count.finds_by_key(&world, &machine, &web).await;
    let (other, _) = world.machine().await;
    count.reads_little(LEFT).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    count.reads_little(SWEEPS).await;
    for (path, what) in
        [(format!("/admin/oauth2/tokens?client_id={other}"), "tokens"), (format!("/admin/clients/{other}"), "client")]
    {
        count.client.query(RESET, &[]).await.unwrap();
        assert_eq!(world.a.admin(Method::DELETE, &path, None).await.status, 204, "{what}");
        count.reads_little(ENDED).await;
    }
}
