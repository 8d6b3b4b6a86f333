//! Who can come to a listener, in words: for the log at the start, and for `doctor`.

use crate::config::settings::Listener;
use std::net::IpAddr;

/// How far a listener's address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Whom the socket's file lets in.
    Socket,
    /// Processes of this host or pod.
    Loopback,
    /// Whoever reaches this one address.
    Address,
    /// Whoever reaches this host or pod by any of its addresses.
    Everywhere,
}

/// How far it reaches.
pub fn of(listener: &Listener) -> Reach {
    let host = listener.host.trim_start_matches('[').trim_end_matches(']');
    if host.starts_with("unix:") {
        return Reach::Socket;
    }
    match host.parse::<IpAddr>() {
        _ if host.is_empty() => Reach::Everywhere,
        Ok(address) if address.is_unspecified() => Reach::Everywhere,
        Ok(address) if address.is_loopback() => Reach::Loopback,
        Err(_) if host == "localhost" => Reach::Loopback,
        _ => Reach::Address,
    }
}

/// The same for people.
pub fn told(listener: &Listener) -> String {
    let who = match of(listener) {
        Reach::Socket => format!("whom the file's mode {:04o} lets in", listener.socket.mode),
        Reach::Loopback => "this host or pod alone".to_owned(),
        Reach::Address => "whoever reaches this address".to_owned(),
        Reach::Everywhere => "every interface: whoever reaches this host or pod".to_owned(),
    };
    let tls = &listener.tls;
    if tls.enabled && tls.cert.is_none() && of(listener) != Reach::Socket {
        let from: Vec<String> = tls.allow_termination_from.iter().map(ToString::to_string).collect();
        return format!("{who}, but only through a proxy in {}", from.join(", "));
    }
    who
}
