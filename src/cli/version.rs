//! `version`: what was built, from what, and when.

use super::output::say;

/// The lines of `version`. The build script found hash and time; the time is the commit's, so
/// that the same source makes the same binary.
///
/// # Errors
/// When standard output cannot be written.
pub fn print() -> anyhow::Result<()> {
    say(&format!(
        "Version:    v{}\nGit Hash:   {}\nBuild Time: {}",
        env!("CARGO_PKG_VERSION"),
        env!("SIGNET_GIT_HASH"),
        env!("SIGNET_BUILD_TIME"),
    ))
}
