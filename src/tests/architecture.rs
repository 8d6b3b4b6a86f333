//! Holds the rule of the house: reads `src/**/*.rs` and reports what is in a room where it may not be.

use std::fs;
use std::path::{Path, PathBuf};

/// Left to right: a room may use those before it. Rooms of one rank may not use each other.
const ROOMS: [(&str, u8); 10] = [
    ("crypto", 0),
    ("domain", 1),
    ("telemetry", 2),
    ("store", 3),
    ("store::postgres", 4),
    ("store::sqlite", 4),
    ("actors", 4),
    ("http", 5),
    ("cli", 6),
    ("runtime", 6),
];
/// Settings are values that these rooms read and hand on.
const READ_CONFIG: [&str; 4] = ["config", "cli", "runtime", "lib"];
const PRINTS: [&str; 5] = ["println!", "eprintln!", "print!(", "eprint!(", "dbg!"];
const SQL: [&str; 6] = ["SELECT ", "INSERT INTO ", "DELETE FROM ", "CREATE TABLE ", "ALTER TABLE ", "ON CONFLICT "];

fn rank(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, rank)| *rank)
}

/// The room of a file, by its path under `src`.
fn room_of(path: &Path) -> String {
    let parts: Vec<String> = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    match parts.as_slice() {
        [store, dialect, ..] if store == "store" && ["postgres", "sqlite"].contains(&dialect.as_str()) => {
            format!("store::{dialect}")
        }
        [first, ..] => first.clone(),
        [] => String::new(),
    }
}

/// The rooms named by `crate::…` in one line of code.
fn rooms_used(line: &str) -> Vec<String> {
    line.split("crate::")
        .skip(1)
        .map(|rest| {
            let path: String = rest.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let mut parts = path.split("::");
            match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
                ("store", dialect @ ("postgres" | "sqlite")) => format!("store::{dialect}"),
                (first, _) => first.to_owned(),
            }
        })
        .collect()
}

fn may_use(room: &str, used: &str) -> bool {
    if room == used || room == "lib" || room == "main" {
        return true;
    }
    if used == "config" {
        return READ_CONFIG.contains(&room);
    }
    match (rank(room), rank(used)) {
        (Some(here), Some(there)) => there < here || (here == 6 && there == 6),
        (None, Some(there)) => room == "config" && there < 3,
        _ => true, // `crate::` alone, or a macro
    }
}

/// What breaks the rule in one file; `path` is relative to `src`.
fn faults(path: &Path, source: &str) -> Vec<String> {
    let room = room_of(path);
    let mut found = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        let mut report = |what: String| found.push(format!("src/{}:{}: {what}", path.display(), number + 1));
        for used in rooms_used(code) {
            if !may_use(&room, &used) {
                report(format!("{room} may not use {used}"));
            }
        }
        // A build script speaks to cargo by printing.
        if !["cli", "build"].contains(&room.as_str()) && PRINTS.iter().any(|print| code.contains(print)) {
            report("prints outside cli".to_owned());
        }
        if room != "actors" && code.match_indices("Addr<").any(|(at, _)| !code[..at].ends_with(char::is_alphanumeric)) {
            report("an actor's address outside actors".to_owned());
        }
        if !room.starts_with("store") && SQL.iter().any(|word| code.contains(word)) {
            report("SQL outside store".to_owned());
        }
    }
    found
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "tests" {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn the_house_keeps_its_rule() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 10, "no source found under {}", src.display());
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| faults(file.strip_prefix(&src).unwrap(), &fs::read_to_string(file).unwrap()))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_planted_violation_is_found() {
    for (path, line, fault) in [
        ("domain/scope.rs", "use crate::store::Store;", "domain may not use store"),
        ("domain/scope.rs", "    let now = crate::runtime::now();", "domain may not use runtime"),
        ("actors/janitor.rs", "use crate::store::sqlite::Sqlite;", "actors may not use store::sqlite"),
        ("store/mod.rs", "use crate::store::postgres::Pool;", "store may not use store::postgres"),
        ("store/sqlite/tokens.rs", "use crate::store::postgres::map;", "store::sqlite may not use store::postgres"),
        ("http/mod.rs", "use crate::config::Config;", "http may not use config"),
        ("http/mod.rs", "println!(\"here\");", "prints outside cli"),
        ("http/admin/clients.rs", "registry: actix::Addr<ClientRegistry>,", "an actor's address outside actors"),
        ("http/admin/clients.rs", "const ALL: &str = \"SELECT id FROM client\";", "SQL outside store"),
    ] {
        let found = faults(Path::new(path), line);
        assert!(found.iter().any(|f| f.ends_with(fault)), "{path}: {line}: {found:?}");
    }
}

#[test]
fn what_is_lawful_is_left_alone() {
    for (path, line) in [
        ("http/mod.rs", "use crate::actors::mailbox::AskError;"),
        ("store/postgres/tokens.rs", "use crate::store::StoreError;"),
        ("domain/token/jwt.rs", "use crate::crypto::jose;"),
        ("cli/serve.rs", "println!(\"{table}\"); use crate::config::Config;"),
        ("actors/mailbox.rs", "addr: Addr<A>,"),
        ("http/mod.rs", "peer: Option<SocketAddr>, all: Vec<SocketAddr<>>"),
        ("domain/mod.rs", "// SELECT is a word in a comment"),
    ] {
        assert_eq!(faults(Path::new(path), line), Vec::<String>::new(), "{path}: {line}");
    }
}
