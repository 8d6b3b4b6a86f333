//! Tells the binary what it was built from: the revision of the checkout, when that was committed, and by which
//! compiler. Values given in the environment win, for builds without a checkout.

use std::process::Command;

fn said(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).output().ok().filter(|done| done.status.success())?;
    Some(String::from_utf8(done.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let facts = [
        ("SIGNET_GIT_HASH", said("git", &["rev-parse", "--short=12", "HEAD"])),
        ("SIGNET_BUILD_TIME", said("git", &["log", "-1", "--format=%cI"])),
        ("SIGNET_RUSTC", said(&rustc, &["--version"])),
    ];
    for (name, found) in facts {
        let value = std::env::var(name).ok().or(found).unwrap_or_else(|| "unknown".to_owned());
        println!("cargo::rustc-env={name}={value}");
        println!("cargo::rerun-if-env-changed={name}");
    }
    // A file that is not there would make every build a new one.
    for file in
        [".git/HEAD", ".git/refs/heads", "src/build.rs"].into_iter().filter(|f| std::path::Path::new(f).exists())
    {
        println!("cargo::rerun-if-changed={file}");
    }
}
