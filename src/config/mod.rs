//! Every setting: read once, checked as a whole, handed on as plain values.
//!
//! [`load`] reads defaults, then files, then environment, then flags; a later one wins (OpenTelemetry's own variables
//! come right after the defaults). All faults are told at once.
//! The tables of keys (`keys_*.rs`) say what exists; nothing is read that is not in them. Called by `cli` and
//! `runtime` alone. A secret is never in a fault, a status line or `Debug`.

mod build;
mod build_protocol;
mod build_tracing;
mod environment;
mod fault;
mod gather;
pub mod key;
mod keys_oauth;
mod keys_serve;
mod keys_server;
mod rules;
pub mod settings;
mod settings_parts;
mod status;
mod value;

pub use fault::Fault;
pub use gather::{Mode, Sources};
pub use key::Effect;
pub use settings::Settings;
pub use status::{StatusRow, status};

use gather::Gathered;

/// Reads and checks every setting.
///
/// # Errors
/// All faults found, in the order of files, environment, flags, then rules that span several keys.
pub fn load(sources: &Sources) -> Result<Settings, Vec<Fault>> {
    let mut gathered = Gathered::from(sources);
    let settings = build::settings(&mut gathered, sources.mode);
    if gathered.faults.is_empty() { Ok(settings) } else { Err(gathered.faults) }
}

/// The settings as far as they can be read, and what [`load`] would refuse: for looking at a server, not for being one.
#[must_use]
pub fn despite_faults(sources: &Sources) -> (Settings, Vec<Fault>) {
    let mut gathered = Gathered::from(sources);
    let settings = build::settings(&mut gathered, sources.mode);
    (settings, gathered.faults)
}

/// What [`load`] would refuse; empty when all is well.
#[must_use]
pub fn validate(sources: &Sources) -> Vec<Fault> {
    load(sources).err().unwrap_or_default()
}
