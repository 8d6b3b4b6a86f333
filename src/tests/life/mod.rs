//! A server's life: start, load, signals, an outage of its database, a neighbour on the same database.

mod cache;
mod database_tls;
mod faults;
mod outage;
mod overload;
mod replicas;
mod signals;
mod statements;
