//! How many SQL statements the hot paths cost, counted by the database itself.

use crate::harness::World;

/// Tables that only the hot paths touch; statements that name none of them are the upkeep's. Loading a client is left
/// out: each worker does it once, on whichever connection comes first.
const COUNTED: &str = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
     WHERE d.datname = current_database() AND query ~* 'token|client|family|jti|assertion' AND query !~* 'pg_stat|listen|skip locked' \
     AND query !~ '^[[:space:]]*SELECT id, name, owner'";

struct Counter {
    client: tokio_postgres::Client,
}

impl Counter {
    async fn on(world: &World) -> Option<Self> {
        let client = world.database.client().await;
        if client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await.is_err() {
            println!("SKIPPED: this PostgreSQL has no pg_stat_statements");
            return None;
        }
        Some(Self { client })
    }

    async fn now(&self) -> i64 {
        self.client.query_one(COUNTED, &[]).await.unwrap().get(0)
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
    assert!(alone <= TIMES, "client_credentials: {alone} statements for {TIMES}\n{}", count.texts().await);

    let before = count.now().await;
    for token in tokens.iter().skip(1) {
        assert!(peer.is_active(token).await);
    }
    let introspected = count.now().await - before;
    assert_eq!(introspected, TIMES, "introspection\n{}", count.texts().await);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_once_share_a_batch() {
    const TIMES: i64 = 400;
    const AT_ONCE: usize = 40;
    let Some(world) = World::postgres(&[]).await else { return };
    let Some(count) = Counter::on(&world).await else { return };
    let (id, secret) = world.machine().await;
    world.a.token(&id, &secret).await;
    let before = count.now().await;
    let calls: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (peer, id, secret) = (world.a.clone(), id.clone(), secret.clone());
            tokio::spawn(async move {
                for _ in 0..usize::try_from(TIMES).unwrap() / AT_ONCE {
                    peer.token(&id, &secret).await;
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let spent = count.now().await - before;
    assert!(spent < TIMES, "{spent} statements for {TIMES} tokens: nothing was shared\n{}", count.texts().await);
}
