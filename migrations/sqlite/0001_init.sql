-- The same tables and columns as in PostgreSQL. Times are microseconds since the Unix epoch, UUIDs are 16 bytes.

CREATE TABLE network (
    id BLOB PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO network (id) VALUES (randomblob(16));

CREATE TABLE client (
    nid                     BLOB    NOT NULL REFERENCES network (id),
    id                      TEXT    NOT NULL,
    name                    TEXT    NOT NULL,
    owner                   TEXT    NOT NULL,
    document                TEXT    NOT NULL,
    secret_hash             TEXT    NOT NULL,
    rotated_secret_hashes   TEXT    NOT NULL,
    registration_token_hash BLOB,
    family_id               BLOB    NOT NULL,
    version                 INTEGER NOT NULL,
    created_at              INTEGER NOT NULL,
    updated_at              INTEGER NOT NULL,
    PRIMARY KEY (nid, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE token_family (
    id         BLOB    PRIMARY KEY NOT NULL,
    nid        BLOB    NOT NULL,
    client_id  TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    shared     INTEGER NOT NULL,
    revoked_at INTEGER,
    version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_family_client ON token_family (nid, client_id);
CREATE INDEX token_family_revoked ON token_family (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE access_token (
    signature    BLOB    PRIMARY KEY NOT NULL,
    nid          BLOB    NOT NULL,
    family_id    BLOB    NOT NULL,
    client_id    TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    audience     TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    session      BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_token_expires ON access_token (expires_at);
CREATE INDEX access_token_client ON access_token (nid, client_id, family_id);

CREATE TABLE assertion_jti (
    nid        BLOB    NOT NULL,
    client_id  TEXT    NOT NULL,
    jti        BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (nid, client_id, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX assertion_jti_expires ON assertion_jti (expires_at);

CREATE TABLE json_web_key (
    nid          BLOB    NOT NULL REFERENCES network (id),
    set_id       TEXT    NOT NULL,
    kid          TEXT    NOT NULL,
    alg          TEXT    NOT NULL,
    sealed       BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    activates_at INTEGER NOT NULL,
    retires_at   INTEGER,
    PRIMARY KEY (nid, set_id, kid)
) STRICT, WITHOUT ROWID;
