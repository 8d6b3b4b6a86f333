//! The command lines in `loadtest/README.md` are understood.

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::Cli;

#[test]
fn the_command_lines_of_the_readme_are_understood() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let mut seen = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("target/release/signet-loadtest ")) {
        // What a shell makes of it.
        let words = line.replace("$(pgrep -x signet)", "1").replace("\"$DSN\"", "postgres://u@h/d");
        let parsed = Cli::try_parse_from(std::iter::once("signet-loadtest").chain(words.split_whitespace()));
        let fault = parsed.err().filter(|error| error.kind() != ErrorKind::DisplayHelp);
        assert!(fault.is_none(), "{line}: {fault:?}");
        seen += 1;
    }
    assert!(seen >= 7, "{seen} command lines");
}
