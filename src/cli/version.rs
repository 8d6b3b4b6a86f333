//! `version`: what was built, from what, and when.

use super::output::say;

/// The lines of `version`. Hash and time are those the build was given in `SIGNET_GIT_HASH` and
/// `SIGNET_BUILD_TIME`.
///
/// # Errors
/// When standard output cannot be written.
pub fn print() -> anyhow::Result<()> {
    say(&format!(
        "Version:    v{}\nGit Hash:   {}\nBuild Time: {}",
        env!("CARGO_PKG_VERSION"),
        option_env!("SIGNET_GIT_HASH").unwrap_or("unknown"),
        option_env!("SIGNET_BUILD_TIME").unwrap_or("unknown"),
    ))
}
