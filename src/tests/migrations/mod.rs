//! Migrations are held to expand and contract, so that this release and the one before it run as one fleet on one database.
//!
//! `migrations/RELEASED` names the releases. What the first of them brought is history; what came later is classified.

mod classify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use classify::{Class, Dialect, classify};
use sha2::{Digest, Sha256};

const FOLDERS: [(&str, Dialect); 2] = [("postgres", Dialect::Postgres), ("sqlite", Dialect::Sqlite)];
/// A comment that begins so, before the version since which nothing uses what the migration takes away.
const UNUSED: &str = "-- contract: unused since ";

/// A line of `migrations/RELEASED`.
#[derive(Debug)]
struct Release {
    schema: u16,
    version: String,
    commit: String,
    /// By folder.
    sums: [String; 2],
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")
}

fn releases() -> Vec<Release> {
    let text = std::fs::read_to_string(folder().join("RELEASED")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| released(line).unwrap_or_else(|| panic!("not five words: {line}"))).collect()
}

fn released(line: &str) -> Option<Release> {
    let words: Vec<&str> = line.split(' ').collect();
    let [schema, version, commit, postgres, sqlite] = words.as_slice() else { return None };
    let sums = [postgres, sqlite].map(|sum| (*sum).to_owned());
    Some(Release { schema: schema.parse().ok()?, version: (*version).into(), commit: (*commit).into(), sums })
}

/// The migrations of one dialect by number: name and text.
fn scripts(dialect: &str) -> BTreeMap<u16, (String, String)> {
    let files = std::fs::read_dir(folder().join(dialect)).unwrap();
    let named = files.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let number = name.split('_').next().unwrap().parse().unwrap_or_else(|_| panic!("{name} has no number"));
        (number, (name, std::fs::read_to_string(&path).unwrap()))
    });
    named.collect()
}

/// What is wrong with a migration, in the light of the releases before it.
fn faults(script: &str, dialect: Dialect, versions: &[&str]) -> Vec<String> {
    let classes = match classify(script, dialect) {
        Ok(classes) => classes,
        Err(error) => return vec![format!("it cannot be read: {error}")],
    };
    let has = |wanted: fn(&Class) -> bool| classes.iter().any(|(_, class)| wanted(class));
    let mut faults = Vec::new();
    if dialect == Dialect::Postgres && has(|c| matches!(c, Class::Backfill)) && has(|c| *c == Class::ExpandOld) {
        faults.push(
            "it fills rows while it holds the lock on a table that it alters: make that two migrations".to_owned(),
        );
    }
    let unused = unused_before_the_last(script, versions);
    for (statement, class) in &classes {
        match class {
            Class::Expand | Class::ExpandOld | Class::Backfill => {}
            Class::Contract(why) if unused.is_err() => {
                faults.push(format!("{why}: {statement} ({})", unused.as_ref().unwrap_err()));
            }
            Class::Contract(_) => {}
            Class::Never(why) => faults.push(format!("{why}: {statement}")),
        }
    }
    faults
}

/// Whether the header names a release, older than the last, since which nothing uses what is taken away.
fn unused_before_the_last(script: &str, versions: &[&str]) -> Result<(), String> {
    let header = script.lines().take_while(|line| line.starts_with("--"));
    let Some(named) = header.filter_map(|line| line.strip_prefix(UNUSED)).next() else {
        return Err(format!("a header line `{UNUSED}VERSION` must name the release since which nothing uses it"));
    };
    let older = versions.split_last().map_or(&[][..], |(_, older)| older);
    if older.contains(&named.trim()) {
        return Ok(());
    }
    Err(format!("{named} is not a release before the last one, which may still run beside this one"))
}

#[test]
fn what_came_after_the_first_release_only_expands_or_takes_away_what_nobody_uses() {
    let releases = releases();
    for (folder, dialect) in FOLDERS {
        let mut faulty = Vec::new();
        for (number, (name, script)) in scripts(folder).split_off(&(releases[0].schema + 1)) {
            let before = releases.iter().filter(|release| release.schema < number);
            let versions: Vec<&str> = before.map(|release| release.version.as_str()).collect();
            faulty.extend(faults(&script, dialect, &versions).into_iter().map(|fault| format!("{name}: {fault}")));
        }
        assert!(faulty.is_empty(), "{folder}: {faulty:#?}");
    }
}

#[test]
fn the_dialects_have_the_same_migrations_and_the_program_has_them_all() {
    let names = |dialect| scripts(dialect).into_iter().map(|(number, (name, _))| (number, name)).collect::<Vec<_>>();
    let (postgres, carried) = (names("postgres"), include_str!("../../store/migrate.rs"));
    assert_eq!(postgres, names("sqlite"));
    for (at, (number, name)) in postgres.iter().enumerate() {
        assert_eq!(usize::from(*number), at + 1, "{name}");
        for dialect in ["postgres", "sqlite"] {
            assert!(
                carried.contains(&format!("migrations/{dialect}/{name}.sql\"")),
                "{dialect}: {name} is not carried"
            );
        }
    }
}

#[test]
fn a_released_migration_never_changes() {
    let releases = releases();
    assert!(releases.is_sorted_by_key(|release| release.schema) && !releases.is_empty());
    for release in releases {
        assert!(release.commit.len() == 40 && release.commit.bytes().all(|b| b.is_ascii_hexdigit()), "{release:?}");
        for ((folder, _), sum) in FOLDERS.iter().zip(&release.sums) {
            let texts = scripts(folder).into_iter().filter(|(number, _)| *number <= release.schema);
            let all: String = texts.map(|(_, (_, text))| text).collect();
            assert_eq!(hex::encode(Sha256::digest(all)), *sum, "{folder} of {}", release.version);
        }
    }
}

#[test]
fn what_is_taken_away_must_be_unused_since_a_release_before_the_last() {
    let drops = |header: &str| format!("{header}\nALTER TABLE client DROP COLUMN owner;");
    let named = drops("-- contract: unused since 0.2.0");
    let refused = |script: &str, versions: &[&str]| !faults(script, Dialect::Postgres, versions).is_empty();
    assert!(refused(&drops("-- Nobody wants it."), &["0.1.0", "0.2.0", "0.3.0"]));
    assert!(refused(&named, &["0.1.0"]), "no such release");
    assert!(refused(&named, &["0.1.0", "0.2.0"]), "it is the last");
    assert!(!refused(&named, &["0.1.0", "0.2.0", "0.3.0"]));
    let late = "ALTER TABLE client DROP COLUMN owner;\n-- contract: unused since 0.2.0";
    assert!(refused(late, &["0.2.0", "0.3.0"]), "that is no header");
    let index = "-- contract: unused since 0.2.0\nCREATE INDEX i ON refresh_token (subject);";
    assert!(refused(index, &["0.2.0", "0.3.0"]), "no header excuses a long lock");
}

#[test]
fn rows_are_not_filled_under_the_lock_on_an_altered_table() {
    let both = "ALTER TABLE client ADD COLUMN a text; UPDATE network SET id = id;";
    assert_eq!(faults(both, Dialect::Postgres, &[]).len(), 1);
    assert_eq!(faults(both, Dialect::Sqlite, &[]), Vec::<String>::new());
}
