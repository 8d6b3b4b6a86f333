//! `completion`: a script that teaches a shell the commands and flags.

use clap_complete::Shell;

use super::output::say;

/// `completion <shell>`.
#[derive(Debug, clap::Args)]
pub struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    /// Prints the script.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self, mut tree: clap::Command, name: &str) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut tree, name, &mut script);
        say(String::from_utf8_lossy(&script).trim_end())
    }
}
