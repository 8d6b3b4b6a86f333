//! A server's life: start, load, signals, an outage of its database, a neighbour on the same database.

mod cache;
mod database_tls;
mod faults;
mod news;
mod outage;
mod overload;
mod replicas;
mod schema;
mod secrets;
mod signals;
mod statements;

use std::io::Write;
use std::net::TcpStream;

use crate::harness::{Answer, Peer, Scrape};

/// 503, and when to come again; not a word about what was asked.
fn unavailable(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.brief());
    assert!(!answer.header("retry-after").is_empty(), "{what}: no Retry-After: {:?}", answer.headers);
    assert!(!answer.text.contains("active"), "{what}: {}", answer.brief());
}

/// A series of a replica's metrics that counts.
async fn series(peer: &Peer, name: &str) -> u64 {
    gauge(peer, name).await as u64
}

/// A series of a replica's metrics.
async fn gauge(peer: &Peer, name: &str) -> f64 {
    Scrape::of(peer).await.series(name)
}

/// So many requests for a token whose bodies never come to their end.
fn half_sent(peer: &Peer, count: usize) -> Vec<TcpStream> {
    let address = peer.public.trim_start_matches("http://");
    let begin = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                    Content-Length: 100\r\n\r\ngrant_type=";
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    (0..count).map(begin).collect()
}
