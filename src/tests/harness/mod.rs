//! What every outside test stands on: a database of its own, one or two servers on free ports, and their wire.
//!
//! Children are ended by their own process id when the fixture goes; nothing else is touched.

mod callee;
mod clock;
mod cluster;
mod collector;
mod database;
#[path = "../../../loadtest/src/fault_proxy/mod.rs"]
mod fault_proxy;
mod flow;
mod inbound;
mod redis;
mod scrape;
mod server;
mod spoiler;
mod table;
mod user;
mod wire;

pub use callee::{Callee, Question};
pub use clock::WrongClock;
pub use cluster::{Cluster, Stop};
pub use collector::{Collector, Span};
pub use database::{Database, postgres};
pub use fault_proxy::{Fault, Proxy};
pub use flow::{consented, decide, to_client, to_page};
pub use redis::Redis;
pub use scrape::Scrape;
pub use server::{SECRET, Server, free_port, run, signal};
pub use spoiler::{Spoiler, says, with_body};
pub(crate) use table::cases;
pub use table::{Case, World, play};
pub use user::{Browser, CALLBACK, Web, accept, enter_user_code, grant_device, param, refuse_device, request, sign_in};
pub use wire::{Answer, Peer, basic, claims, jose_header, raw};

/// What a client-credentials client of these tests looks like.
pub fn machine(id: &str, secret: &str) -> serde_json::Value {
    serde_json::json!({
        "client_id": id, "client_secret": secret, "grant_types": ["client_credentials"], "response_types": [],
        "scope": "read write", "audience": ["https://api.example.com"],
    })
}

/// A name that no other test of this run uses.
pub fn fresh(prefix: &str) -> String {
    format!("{prefix}-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}
