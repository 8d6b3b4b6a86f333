//! The introspection cache: a Redis that is there, and every way in which it may not be. What was revoked on one replica
//! is inactive on the other within the bound; what was not is active; nobody waits for Redis.

use std::time::{Duration, Instant};

use super::series;
use crate::harness::{Database, Fault, Peer, Proxy, Redis, Server, World, free_port, fresh, machine, postgres};

/// `introspection.staleness` of these tests.
const BOUND: Duration = Duration::from_secs(2);
/// Room for a request on a machine that does other things.
const SLACK: Duration = Duration::from_secs(1);

/// Two replicas on one database, each with its own way to one Redis.
pub(super) struct Pair {
    pub(super) world: World,
    ways: [Proxy; 2],
    pub(super) redis: Redis,
    id: String,
    secret: String,
}

impl Pair {
    pub(super) async fn new(more: &[(&str, &str)]) -> Option<Self> {
        let pair = Self::cold(more, &[]).await?;
        pair.warm().await;
        Some(pair)
    }

    /// One that has not told anything yet; `own` is for the second replica alone.
    pub(super) async fn cold(more: &[(&str, &str)], own: &[(&str, &str)]) -> Option<Self> {
        let (redis, admin) = (Redis::start()?, postgres()?);
        let database = Database::postgres(&admin).await;
        Server::migrate(&database.dsn());
        let ways = [(); 2].map(|()| Proxy::to("127.0.0.1", redis.port).unwrap());
        let urls = ways.each_ref().map(|way| format!("redis://127.0.0.1:{}/", way.port));
        let env = |at: usize| {
            let mut env = vec![("REDIS_URL", urls[at].as_str()), ("INTROSPECTION_STALENESS", "2s")];
            env.extend(more);
            env.extend(if at == 1 { own } else { &[] });
            env
        };
        let a = Server::start(&database.dsn(), None, &env(0)).await;
        let issuer = format!("{}/", a.peer.public);
        let b = Server::start(&database.dsn(), Some(&issuer), &env(1)).await;
        let world = World::of(vec![a, b], database);
        let (id, secret) = world.machine().await;
        Some(Self { world, ways, redis, id, secret })
    }

    pub(super) async fn token(&self) -> String {
        self.world.a.token(&self.id, &self.secret).await
    }

    pub(super) async fn revoke(&self, token: &str) {
        assert_eq!(self.world.a.revoke(token, &self.id, &self.secret).await.status, 200);
    }

    /// Waits until both replicas answer from the cache.
    pub(super) async fn warm(&self) {
        for peer in [&self.world.a, &self.world.b] {
            self.until_used(peer).await;
        }
    }

    /// Waits until that replica answers from the cache.
    pub(super) async fn until_used(&self, peer: &Peer) {
        let until = Instant::now() + Duration::from_secs(30);
        let before = hits(peer).await;
        let token = self.token().await;
        while hits(peer).await == before {
            assert!(peer.is_active(&token).await);
            assert!(Instant::now() < until, "the cache is never used again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A token that both replicas were asked for, whether or not they could cache it.
    pub(super) async fn asked(&self) -> String {
        let token = self.token().await;
        for peer in [&self.world.a, &self.world.b, &self.world.b] {
            assert!(peer.is_active(&token).await);
        }
        token
    }

    /// A token that both replicas have cached.
    pub(super) async fn cached(&self) -> String {
        let token = self.token().await;
        self.cache(&token).await;
        token
    }

    /// Asks for a token until both replicas have it cached.
    pub(super) async fn cache(&self, token: &str) {
        // An answer is kept a moment after it is given: only a hit shows that it is.
        for peer in [&self.world.a, &self.world.b] {
            let (before, began) = (hits(peer).await, Instant::now());
            while hits(peer).await == before {
                assert!(peer.is_active(token).await);
                assert!(began.elapsed() < Duration::from_secs(30), "it is never cached");
            }
        }
        // Now from the tier inside the process, where there is one.
        assert!(self.world.b.is_active(token).await);
    }
}

/// How often that was the result of a lookup.
pub(super) async fn looked(peer: &Peer, result: &str) -> u64 {
    series(peer, &format!("signet_introspection_cache_total{{result=\"{result}\"}}")).await
}

/// How often that replica could not tell at once what ended.
pub(super) async fn untold(peer: &Peer) -> u64 {
    series(peer, "signet_revocation_news_failed_total").await
}

pub(super) async fn hits(peer: &Peer) -> u64 {
    looked(peer, "redis").await + looked(peer, "local").await
}

/// How long after this moment nobody says that it is active any more; it must not come back to life.
pub(super) async fn death(peer: &Peer, token: &str, what: &str, (since, within): (Instant, Duration)) -> Duration {
    while peer.is_active(token).await {
        assert!(since.elapsed() < within, "{what}: still active after {:?}", since.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = since.elapsed();
    for _ in 0..5 {
        let back = peer.is_active(token).await;
        assert!(!back, "{what}: it came back to life at {}, {} faults", peer.admin, looked(peer, "fault").await);
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_fails_in_any_way_makes_nobody_wrong() {
    let Some(mut pair) = Pair::new(&[]).await else { return };
    let faults = [Fault::Cut, Fault::Hang, Fault::Delay(Duration::from_millis(500)), Fault::Corrupt];
    for fault in &faults {
        for ways in [vec![0, 1], vec![0], vec![1]] {
            let what = format!("{fault:?} for {ways:?}");
            let (ends, lives) = (pair.cached().await, pair.cached().await);
            for way in &ways {
                pair.ways[*way].play(*fault);
            }
            let before = untold(&pair.world.a).await;
            judge(&pair, &what, &ends, &lives).await;
            let failed = untold(&pair.world.a).await > before;
            assert_eq!(failed, ways.contains(&0), "{what}: whether the news could not be told is counted");
            for way in &ways {
                pair.ways[*way].mend();
            }
            pair.warm().await;
        }
    }
    let (ends, lives) = (pair.cached().await, pair.cached().await);
    pair.redis.freeze(true);
    judge(&pair, "frozen", &ends, &lives).await;
    pair.redis.freeze(false);
    judge(&pair, "thawed", &ends, &lives).await;
    pair.warm().await;
    let (ends, lives) = (pair.cached().await, pair.cached().await);
    pair.redis.kill();
    judge(&pair, "killed", &ends, &lives).await;
    pair.redis.run();
    judge(&pair, "back, and empty", &ends, &lives).await;
    pair.warm().await;
}

/// What is revoked dies in time on both, what is not lives on both, and nobody waits long: who revokes neither, and all
/// questions together, those before a breaker opens too, not longer than one may take that is late.
pub(super) async fn judge(pair: &Pair, what: &str, ends: &str, lives: &str) {
    let revoked = Instant::now();
    pair.revoke(ends).await;
    assert!(revoked.elapsed() < SLACK / 2, "{what}: the revocation took {:?}", revoked.elapsed());
    let began = Instant::now();
    for _ in 0..20 {
        for peer in [&pair.world.a, &pair.world.b] {
            assert!(peer.is_active(lives).await, "{what}: a living token is not active");
        }
    }
    assert!(began.elapsed() < BOUND, "{what}: 40 questions took {:?}", began.elapsed());
    for peer in [&pair.world.b, &pair.world.a] {
        death(peer, ends, what, (revoked, BOUND + SLACK)).await;
    }
    assert!(pair.world.a.is_active(&pair.token().await).await, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_into_redis_is_believed_by_nobody() {
    // What Redis says is looked at here, not how soon.
    let Some(pair) = Pair::new(&[("REDIS_TIMEOUT", "1s")]).await else { return };
    let keys = || pair.redis.ask::<Vec<String>>(&["KEYS", "signet:t:*"]);
    let cached = async || {
        let before = keys();
        let token = pair.cached().await;
        (token, keys().into_iter().find(|key| !before.contains(key)).unwrap())
    };
    let (one, key) = cached().await;
    let kept: Vec<u8> = pair.redis.ask(&["GET", &key]);
    let (other, theirs) = cached().await;
    // The value of one token under the key of another, and back to life after its end.
    let set = |key: &str, value: &[u8]| {
        let mut connection = redis::Client::open(pair.redis.url()).unwrap().get_connection().unwrap();
        redis::cmd("SET").arg(key).arg(value).query::<()>(&mut connection).unwrap();
    };
    set(&theirs, &kept);
    let answer = pair.world.b.introspect(&other).await;
    assert_eq!(answer.json()["active"], true, "{}", answer.brief());
    assert!(looked(&pair.world.b, "forged").await > 0);
    for garbage in [&b""[..], b"\x01", b"\x01\x01", &[1; 40], &[255; 4096]] {
        set(&theirs, garbage);
        assert!(pair.world.b.is_active(&other).await);
    }
    the_link_is_kept(&pair, &theirs, &other, &set).await;
    pair.revoke(&one).await;
    set(&key, &kept);
    death(&pair.world.b, &one, "an old value was put back", (Instant::now(), BOUND + SLACK)).await;
    tokio::time::sleep(BOUND).await;
    set(&key, &kept);
    assert!(!pair.world.b.is_active(&one).await, "an old value was put back late");
    let _: () = pair.redis.ask(&["FLUSHALL"]);
    assert!(!pair.world.b.is_active(&one).await && pair.world.b.is_active(&other).await);
    let _: u64 = pair.redis.ask(&["PUBLISH", "signet:news", "garbage"]);
    pair.warm().await;
}

/// What is wrong with a key, or with a right, says nothing of the connection, however often it is asked for.
async fn the_link_is_kept(pair: &Pair, key: &str, token: &str, set: &impl Fn(&str, &[u8])) {
    let fault =
        async |reason| series(&pair.world.b, &format!("signet_redis_faults_total{{reason=\"{reason}\"}}")).await;
    let (before, refused, open) = (connections(pair).await, fault("refused").await, fault("breaker_open").await);
    for at in 0..60 {
        match at {
            0 => set(key, &[7; 80]),
            20 => {
                let _: u64 = pair.redis.ask(&["LPUSH", "a-list", "of", "two"]);
                let _: () = pair.redis.ask(&["RENAME", "a-list", key]);
            }
            40 => pair.redis.ask(&["ACL", "SETUSER", "default", "-get", "-set"]),
            _ => {}
        }
        assert!(pair.world.b.is_active(token).await);
    }
    let _: () = pair.redis.ask(&["ACL", "SETUSER", "default", "+get", "+set"]);
    let _: u64 = pair.redis.ask(&["DEL", key]);
    assert!(fault("refused").await >= refused + 30, "a list under the key, and no right to read it");
    assert_eq!(fault("breaker_open").await, open, "the way was closed");
    assert_eq!(connections(pair).await, before, "the server has connected anew");
}

/// The connections of both replicas: each has one for all that it asks, and one on which it listens.
async fn connections(pair: &Pair) -> Vec<String> {
    // Those of this test's own questions are gone by then, but for the last.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let list: String = pair.redis.ask(&["CLIENT", "LIST"]);
    let theirs = list.lines().filter(|line| !line.contains(" cmd=client|list "));
    let is_listening = |line: &&str| line.contains(" sub=1 ");
    let (listen, ask): (Vec<_>, Vec<_>) = theirs.partition(is_listening);
    assert_eq!((ask.len(), listen.len()), (2, 2), "{list}");
    ask.iter().chain(&listen).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_too_the_answer_is_503() {
    let (Some(redis), Some(admin)) = (Redis::start(), postgres()) else { return };
    let database = Database::postgres(&admin).await;
    Server::migrate(&database.dsn());
    let (host, port) = database.address();
    let (proxy, url) = (Proxy::to(&host, port).unwrap(), redis.url());
    let env = [("REDIS_URL", url.as_str()), ("INTROSPECTION_STALENESS", "2s")];
    let server = Server::start(&database.dsn_through(proxy.port), None, &env).await;
    let (id, secret) = (fresh("cached"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let token = server.peer.token(&id, &secret).await;
    while looked(&server.peer, "redis").await == 0 {
        assert!(server.peer.is_active(&token).await);
    }
    assert!(server.peer.is_active(&token).await);
    proxy.cut();
    let began = Instant::now();
    while began.elapsed() < BOUND + SLACK {
        let answer = server.peer.introspect(&token).await;
        match answer.status {
            200 => assert_eq!(answer.json()["active"], true, "a lie: {}", answer.brief()),
            503 => assert!(!answer.header("retry-after").is_empty()),
            other => panic!("{other}: {}", answer.brief()),
        }
    }
    assert_eq!(server.peer.introspect(&token).await.status, 503, "what is cached is old by now");
    proxy.mend();
}

/// A server with that Redis answers from it.
async fn is_used(env: &[(&str, &str)]) {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let mut all = vec![("INTROSPECTION_STALENESS", "1s")];
    all.extend(env);
    let server = Server::start(&database.dsn(), None, &all).await;
    let (id, secret) = (fresh("cached"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let token = server.peer.token(&id, &secret).await;
    let until = Instant::now() + Duration::from_secs(20);
    while looked(&server.peer, "redis").await == 0 {
        assert!(server.peer.is_active(&token).await);
        assert!(Instant::now() < until, "{env:?} is never used: {}", server.said());
    }
    assert_eq!(server.peer.revoke(&token, &id, &secret).await.status, 200);
    assert!(!server.peer.is_active(&token).await);
    let tombs = looked(&server.peer, "tombstone").await;
    assert!(tombs > 0, "{env:?}: no tombstone was found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_its_own_needs_few_rights() {
    let Some(redis) = Redis::start() else { return };
    let rule =
        ["ACL", "SETUSER", "signet", "on", ">a-p@ss", "~own:*", "&own:*", "+get", "+set", "+publish", "+subscribe"];
    let _: () = redis.ask(&rule);
    let url = format!("redis://signet:a-p%40ss@127.0.0.1:{}/", redis.port);
    is_used(&[("REDIS_URL", &url), ("REDIS_PREFIX", "own")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_certificate_is_checked() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port().to_string());
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let [cert, key] =
        [("cert.pem", own.cert.pem()), ("key.pem", own.signing_key.serialize_pem())].map(|(name, pem)| {
            let file = dir.path().join(name);
            std::fs::write(&file, pem).unwrap();
            file.display().to_string()
        });
    let tls = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let Some(_redis) = Redis::with(&tls) else { return };
    let url = format!("rediss://localhost:{port}/");
    is_used(&[("REDIS_URL", &url), ("SSL_CERT_FILE", &cert)]).await;
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let server = Server::start(&database.dsn(), None, &[("REDIS_URL", &url), ("INTROSPECTION_STALENESS", "1s")]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (id, secret) = (fresh("cached"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    assert!(server.peer.is_active(&server.peer.token(&id, &secret).await).await);
    assert_eq!(looked(&server.peer, "bypassed").await, 1, "who signed the certificate is not known here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_lead_to_the_master() {
    let Some(redis) = Redis::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentinel.conf");
    std::fs::write(&file, format!("sentinel monitor main 127.0.0.1 {} 1\n", redis.port)).unwrap();
    let port = free_port();
    let args = [file.to_str().unwrap(), "--sentinel", "--port", &port.to_string()];
    let mut sentinel =
        std::process::Command::new("redis-server").args(args).stdout(std::process::Stdio::null()).spawn().unwrap();
    let url = format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/main");
    is_used(&[("REDIS_URL", &url)]).await;
    sentinel.kill().unwrap();
    sentinel.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_one_cache() {
    let Some(redis) = Redis::with(&["--cluster-enabled", "yes"]) else { return };
    let _: () = redis.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    is_used(&[("REDIS_URL", &format!("redis+cluster://127.0.0.1:{}", redis.port))]).await;
}

/// A cluster of three, each with a third of the slots, which keeps on without one of them.
async fn three() -> Option<[Redis; 3]> {
    let bus = [free_port(), free_port(), free_port()].map(|port| port.to_string());
    let member = |at: usize| {
        let own = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-port", &bus[at]];
        Redis::with(&own)
    };
    let all = [member(0)?, member(1)?, member(2)?];
    for (at, one) in all.iter().enumerate() {
        let [first, last] = [at * 5462, (at * 5462 + 5461).min(16_383)].map(|slot| slot.to_string());
        let _: () = one.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        let _: () = one.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
    }
    for (at, other) in all.iter().enumerate().skip(1) {
        let _: () = all[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string(), &bus[at]]);
    }
    let whole = |one: &Redis| {
        let info: String = one.ask(&["CLUSTER", "INFO"]);
        ["cluster_state:ok", "cluster_slots_assigned:16384"].iter().all(|sign| info.contains(sign))
    };
    let until = Instant::now() + Duration::from_secs(20);
    while !all.iter().all(whole) {
        assert!(Instant::now() < until, "no cluster came about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Some(all)
}

/// A token whose answer that member of a cluster keeps, and none of the others.
async fn token_at(peer: &Peer, (id, secret): &(String, String), member: &Redis) -> String {
    let keys = || member.ask::<Vec<String>>(&["KEYS", "signet:t:*"]);
    for _ in 0..100 {
        let (before, token) = (keys(), peer.token(id, secret).await);
        for _ in 0..10 {
            assert!(peer.is_active(&token).await);
            if keys().iter().any(|key| !before.contains(key)) {
                return token;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    panic!("no token is kept there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_member_of_a_cluster_costs_the_others_nothing() {
    let Some(all) = three().await else { return };
    let url = format!("redis+cluster://{}", all.each_ref().map(|one| format!("127.0.0.1:{}", one.port)).join(","));
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let env = [("REDIS_URL", url.as_str()), ("INTROSPECTION_STALENESS", "2s"), ("REDIS_TIMEOUT", "100ms")];
    let server = Server::start(&database.dsn(), None, &env).await;
    let (peer, client) = (&server.peer, (fresh("cached"), fresh("secret")));
    peer.create(machine(&client.0, &client.1)).await;
    let first = peer.token(&client.0, &client.1).await;
    let until = Instant::now() + Duration::from_secs(20);
    while hits(peer).await == 0 {
        assert!(peer.is_active(&first).await && Instant::now() < until, "it is never used: {}", server.said());
    }
    // News come through the first one, and go by the one that has their channel.
    let slot: usize = all[0].ask(&["CLUSTER", "KEYSLOT", "signet:news"]);
    let (dead, alive) = if slot / 5462 == 1 { (2, 1) } else { (1, 2) };
    let lost = token_at(peer, &client, &all[dead]).await;
    let good = token_at(peer, &client, &all[alive]).await;
    all[dead].freeze(true);
    let fault = async |reason| series(peer, &format!("signet_redis_faults_total{{reason=\"{reason}\"}}")).await;
    let (late, open, used) = (fault("late").await, fault("breaker_open").await, hits(peer).await);
    for _ in 0..100 {
        for token in [&lost, &good] {
            let began = Instant::now();
            assert!(peer.is_active(token).await);
            assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
        }
    }
    let (late, open, used) = (fault("late").await - late, fault("breaker_open").await - open, hits(peer).await - used);
    println!("100 rounds: {late} waited for the dead member, {open} did not, {used} answers of the living one");
    assert!(late < 50 && open > 50, "{late} waited for the dead member, {open} did not");
    assert!(used > 50, "{used} answers of the living one");
    all[dead].freeze(false);
    let (before, until) = (hits(peer).await, Instant::now() + Duration::from_secs(20));
    while hits(peer).await == before {
        assert!(peer.is_active(&lost).await && Instant::now() < until, "it is never used again");
    }
}
