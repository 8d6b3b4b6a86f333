//! A Redis that forgets, all at once or a little all the time, and one that has no room: the answers are those of the
//! database.

use std::time::{Duration, Instant};

use crate::life::cache::{Pair, judge};

/// Less than an empty Redis takes: nothing is kept for long, or nothing is taken at all.
const NO_ROOM: &str = "1mb";
const PLAYED: Duration = Duration::from_secs(3);

async fn forgetful(pair: &Pair, what: &str) {
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < PLAYED || rounds < 2 {
        let (ends, lives) = (pair.asked().await, pair.asked().await);
        judge(pair, what, &ends, &lives).await;
        rounds += 1;
    }
    println!("{what}: {rounds} rounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_room_makes_nobody_wrong() {
    let Some(pair) = Pair::new(&[]).await else { return };
    for policy in ["allkeys-lru", "noeviction"] {
        let _: () = pair.redis.ask(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let _: () = pair.redis.ask(&["CONFIG", "SET", "maxmemory", NO_ROOM]);
        forgetful(&pair, policy).await;
        let stats: String = pair.redis.ask(&["INFO", "stats"]);
        let evicted = stats.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap();
        assert!(policy == "noeviction" || evicted.trim() != "0", "nothing was evicted: the test shows nothing");
        let _: () = pair.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        pair.warm().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_emptied_all_the_time_makes_nobody_wrong() {
    let Some(pair) = Pair::new(&[]).await else { return };
    let mut times = 0;
    let emptied = async {
        loop {
            let _: () = pair.redis.ask(&["FLUSHALL"]);
            times += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = emptied => {}
        () = forgetful(&pair, "emptied") => {}
    }
    assert!(times >= 5, "it was emptied {times} times");
    pair.warm().await;
}
