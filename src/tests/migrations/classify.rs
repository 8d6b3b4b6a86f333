//! What a statement of a migration does to those who run on the schema from before it. What is not known to be harmless
//! is not harmless.

use std::collections::BTreeSet;

use sqlparser::ast::{
    AlterTable, AlterTableOperation, ColumnDef, ColumnOption, CreateIndex, CreateTable, Expr, Insert, Statement,
    TableConstraint, TableFactor, TableObject, Update,
};
use sqlparser::dialect::{PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;

/// Tables with a handful of rows in every installation.
const FEW_ROWS: [&str; 2] = ["network", "json_web_key"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Something new that the release before does not look at.
    Expand,
    /// The same in a table of before, which is locked for it.
    ExpandOld,
    /// Rows of a new or a small table.
    Backfill,
    /// The release before may need what this takes away.
    Contract(&'static str),
    /// Others would wait for it, or nobody can tell.
    Never(&'static str),
}

use Class::{Backfill, Contract, Expand, ExpandOld, Never};

/// Every statement of a migration with its class; an error when it cannot be read.
pub fn classify(script: &str, dialect: Dialect) -> Result<Vec<(String, Class)>, String> {
    let parsed = match dialect {
        Dialect::Postgres => Parser::parse_sql(&PostgreSqlDialect {}, script),
        Dialect::Sqlite => Parser::parse_sql(&SQLiteDialect {}, script),
    };
    let mut new = BTreeSet::new();
    let mut classes = Vec::new();
    for statement in parsed.map_err(|error| error.to_string())? {
        let class = class(&statement, &new, dialect);
        if let Statement::CreateTable(table) = &statement {
            new.insert(table.name.to_string());
        }
        classes.push((statement.to_string(), class));
    }
    Ok(classes)
}

fn class(statement: &Statement, new: &BTreeSet<String>, dialect: Dialect) -> Class {
    match statement {
        Statement::CreateTable(table) => created(table, new),
        Statement::CreateIndex(index) => indexed(index, new),
        Statement::AlterTable(altered) if new.contains(&altered.name.to_string()) => Expand,
        Statement::AlterTable(AlterTable { operations, .. }) => operations
            .iter()
            .map(|operation| operated(operation, dialect))
            .find(|c| *c != ExpandOld)
            .unwrap_or(ExpandOld),
        Statement::Insert(Insert { table: TableObject::TableName(table), .. }) => filled(&table.to_string(), new),
        Statement::Update(Update { table, .. }) => match &table.relation {
            TableFactor::Table { name, .. } => filled(&name.to_string(), new),
            _ => Never("it is not known what this fills"),
        },
        Statement::Drop { .. } => Contract("it drops what the release before may use"),
        Statement::Delete(_) => Contract("it deletes rows that the release before may need"),
        _ => Never("this is none of the statements that are known to be harmless"),
    }
}

fn created(table: &CreateTable, new: &BTreeSet<String>) -> Class {
    let in_columns =
        table.columns.iter().flat_map(|column| &column.options).filter_map(|option| match &option.option {
            ColumnOption::ForeignKey(key) => Some(key),
            _ => None,
        });
    let in_table = table.constraints.iter().filter_map(|constraint| match constraint {
        TableConstraint::ForeignKey(key) => Some(key),
        _ => None,
    });
    let own = table.name.to_string();
    let is_old = |name: String| name != own && !new.contains(&name);
    if in_columns.chain(in_table).any(|key| is_old(key.foreign_table.to_string())) {
        return Contract("the release before deletes rows of that table and knows nothing of those that refer to them");
    }
    if table.if_not_exists || table.or_replace { Never("a table of that name may be another one") } else { Expand }
}

fn indexed(index: &CreateIndex, new: &BTreeSet<String>) -> Class {
    let table = index.table_name.to_string();
    if index.concurrently {
        return Never("a migration is a transaction, in which nothing is made concurrently");
    }
    if new.contains(&table) {
        return Expand;
    }
    if index.unique {
        return Contract("the release before may write what is not unique");
    }
    if FEW_ROWS.contains(&table.as_str()) {
        ExpandOld
    } else {
        Never("writers of a large table would wait for the index")
    }
}

fn operated(operation: &AlterTableOperation, dialect: Dialect) -> Class {
    match operation {
        AlterTableOperation::AddColumn { column_def, .. } => added(column_def, dialect),
        _ => Contract("it changes what the release before may use"),
    }
}

/// A column that old writers may leave out, and that costs no pass over the table.
fn added(column: &ColumnDef, dialect: Dialect) -> Class {
    let (mut required, mut default) = (false, false);
    for option in &column.options {
        match &option.option {
            ColumnOption::Null | ColumnOption::Collation(_) => {}
            ColumnOption::NotNull => required = true,
            ColumnOption::Default(value) if is_constant(value) => default = true,
            ColumnOption::Default(_) => return Never("a default that is no constant rewrites the table"),
            _ => return Contract("a constraint that the release before may break, or that is checked row by row"),
        }
    }
    // SQLite's driver binds no "serial"; in PostgreSQL it is a default that is no constant.
    if dialect == Dialect::Postgres && column.data_type.to_string().to_lowercase().contains("serial") {
        return Never("a default that is no constant rewrites the table");
    }
    if required && !default { Contract("the release before writes rows without it") } else { ExpandOld }
}

fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::Value(_) => true,
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) | Expr::Cast { expr, .. } => is_constant(expr),
        _ => false,
    }
}

fn filled(table: &str, new: &BTreeSet<String>) -> Class {
    if new.contains(table) || FEW_ROWS.contains(&table) {
        Backfill
    } else {
        Never("others would wait for the rows of a large table: the program fills them in portions")
    }
}

/// The class of the last statement in both dialects, which is to be the same.
fn last(script: &str) -> Class {
    let of = |dialect| classify(script, dialect).unwrap_or_else(|error| panic!("{script}: {error}")).pop().unwrap().1;
    let (postgres, sqlite) = (of(Dialect::Postgres), of(Dialect::Sqlite));
    assert_eq!(postgres, sqlite, "{script}");
    postgres
}

#[test]
fn what_is_new_expands() {
    for script in [
        "CREATE TABLE t (id bytea PRIMARY KEY, n bigint NOT NULL)",
        "CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE u (t integer REFERENCES t (id), u integer REFERENCES u (t))",
        "CREATE TABLE t (id integer); CREATE INDEX t_id ON t (id) WHERE id > 3",
        "CREATE TABLE t (id integer); CREATE UNIQUE INDEX t_id ON t (id)",
        "CREATE TABLE t (id integer); ALTER TABLE t DROP COLUMN id",
    ] {
        assert_eq!(last(script), Expand, "{script}");
    }
    for script in [
        "ALTER TABLE client ADD COLUMN a text",
        "ALTER TABLE client ADD COLUMN a text NULL",
        "ALTER TABLE client ADD COLUMN a text COLLATE \"C\" NOT NULL DEFAULT ''",
        "ALTER TABLE client ADD COLUMN a integer DEFAULT -1",
        "ALTER TABLE client ADD COLUMN a boolean NOT NULL DEFAULT true",
        "CREATE INDEX key_alg ON json_web_key (alg)",
    ] {
        assert_eq!(last(script), ExpandOld, "{script}");
    }
}

#[test]
fn rows_of_new_and_small_tables_are_filled() {
    for script in [
        "CREATE TABLE t (id integer); INSERT INTO t (id) SELECT 1 FROM network",
        "CREATE TABLE t (id integer); UPDATE t SET id = 2",
        "UPDATE json_web_key SET alg = 'ES256' WHERE alg = 'P-256'",
    ] {
        assert_eq!(last(script), Backfill, "{script}");
    }
}

#[test]
fn what_the_release_before_may_need_is_not_taken_away() {
    for script in [
        "DROP TABLE device_guess",
        "DROP INDEX consent_sweep",
        "DELETE FROM consent WHERE remember_until IS NULL",
        "ALTER TABLE client DROP COLUMN owner",
        "ALTER TABLE client RENAME COLUMN owner TO holder",
        "ALTER TABLE client RENAME TO clients",
        "ALTER TABLE client ADD COLUMN a text NOT NULL",
        "ALTER TABLE client ADD COLUMN a text UNIQUE",
        "ALTER TABLE client ADD COLUMN a text CHECK (a <> '')",
        "ALTER TABLE client ADD COLUMN a text REFERENCES network (id)",
        "CREATE UNIQUE INDEX client_name ON client (name)",
        "CREATE TABLE note (client_id text REFERENCES client (id))",
        "CREATE TABLE note (client_id text, FOREIGN KEY (client_id) REFERENCES client (id))",
    ] {
        assert!(matches!(last(script), Contract(_)), "{script}");
    }
    for script in [
        "ALTER TABLE client ALTER COLUMN name TYPE varchar(20)",
        "ALTER TABLE client ALTER COLUMN registration_token_hash SET NOT NULL",
        "ALTER TABLE client ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE client ADD COLUMN a text, DROP COLUMN owner",
        "ALTER TABLE client ADD CONSTRAINT named CHECK (name <> '')",
    ] {
        let class = classify(script, Dialect::Postgres).unwrap().pop().unwrap().1;
        assert!(matches!(class, Contract(_)), "{script}: {class:?}");
    }
}

#[test]
fn nothing_makes_others_wait_or_is_taken_on_trust() {
    for script in [
        "CREATE INDEX r ON refresh_token (subject)",
        "CREATE INDEX c ON client (name)",
        "UPDATE client SET owner = ''",
        "INSERT INTO consent SELECT * FROM consent",
        "ALTER TABLE client ADD COLUMN a text DEFAULT (random())",
        "CREATE TABLE IF NOT EXISTS client (id integer)",
        "CREATE VIEW v AS SELECT 1",
    ] {
        assert!(matches!(last(script), Never(_)), "{script}");
    }
    for script in [
        "CREATE INDEX CONCURRENTLY r ON refresh_token (subject)",
        "ALTER TABLE client ADD COLUMN a timestamptz NOT NULL DEFAULT now()",
        "ALTER TABLE client ADD COLUMN a bigserial",
        "LOCK TABLE client",
        "TRUNCATE consent",
        "VACUUM client",
    ] {
        let class = classify(script, Dialect::Postgres).map(|mut classes| classes.pop().unwrap().1);
        assert!(!matches!(class, Ok(Expand | ExpandOld | Backfill | Contract(_))), "{script}: {class:?}");
    }
    assert!(classify("FROBNICATE client", Dialect::Postgres).is_err());
}
