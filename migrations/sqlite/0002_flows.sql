-- The same tables and columns as in PostgreSQL. Times are microseconds since the Unix epoch, UUIDs are 16 bytes.

-- Serves what the index before it served, and finds the families that are still to be revoked.
CREATE INDEX token_family_client_revoked ON token_family (nid, client_id, revoked_at);
DROP INDEX token_family_client;
CREATE INDEX token_family_revoked_shared ON token_family (revoked_at) WHERE shared = 1 AND revoked_at IS NOT NULL;

-- A session that ended stays as a row, so that it cannot end twice.
CREATE TABLE login_session (
    id                           BLOB    PRIMARY KEY NOT NULL,
    nid                          BLOB    NOT NULL,
    subject                      TEXT    NOT NULL,
    authenticated_at             INTEGER NOT NULL,
    expires_at                   INTEGER NOT NULL,
    ended_at                     INTEGER,
    identity_provider_session_id TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_session_subject ON login_session (nid, subject);
CREATE INDEX login_session_expires ON login_session (expires_at);

-- sweep_after: when a sweep is to look at it next; null for one that is remembered for ever.
CREATE TABLE consent (
    id             BLOB    PRIMARY KEY NOT NULL,
    nid            BLOB    NOT NULL,
    client_id      TEXT    NOT NULL,
    subject        TEXT    NOT NULL,
    session_id     BLOB    NOT NULL,
    scope          TEXT    NOT NULL,
    audience       TEXT    NOT NULL,
    skipped        INTEGER NOT NULL,
    remember       INTEGER NOT NULL,
    remember_until INTEGER,
    requested_at   INTEGER NOT NULL,
    handled_at     INTEGER NOT NULL,
    detail         BLOB    NOT NULL,
    sweep_after    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_client ON consent (nid, client_id, subject, handled_at);
CREATE INDEX consent_subject ON consent (nid, subject, handled_at, id);
CREATE INDEX consent_session ON consent (session_id);
CREATE INDEX consent_handled ON consent (nid, handled_at);
CREATE INDEX consent_sweep ON consent (sweep_after);

CREATE TABLE authorization_code (
    signature      BLOB    PRIMARY KEY NOT NULL,
    nid            BLOB    NOT NULL,
    family_id      BLOB    NOT NULL,
    client_id      TEXT    NOT NULL,
    redirect_uri   TEXT,
    code_challenge TEXT,
    expires_at     INTEGER NOT NULL,
    spent_at       INTEGER,
    session        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX authorization_code_expires ON authorization_code (expires_at);
CREATE INDEX authorization_code_client ON authorization_code (nid, client_id, family_id);

CREATE TABLE refresh_token (
    signature    BLOB    PRIMARY KEY NOT NULL,
    nid          BLOB    NOT NULL,
    family_id    BLOB    NOT NULL,
    client_id    TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    audience     TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER,
    used_at      INTEGER,
    replayed     INTEGER NOT NULL,
    access_token BLOB    NOT NULL,
    successor    BLOB    NOT NULL,
    session      BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_token_expires ON refresh_token (expires_at);
CREATE INDEX refresh_token_client ON refresh_token (nid, client_id, family_id);

CREATE TABLE device (
    signature      BLOB    PRIMARY KEY NOT NULL,
    nid            BLOB    NOT NULL,
    user_code      BLOB    NOT NULL,
    client_id      TEXT    NOT NULL,
    scope          TEXT    NOT NULL,
    audience       TEXT    NOT NULL,
    requested_at   INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    poll_interval  INTEGER NOT NULL,
    last_polled_at INTEGER,
    flow_id        BLOB    UNIQUE,
    state          TEXT    NOT NULL,
    family_id      BLOB,
    session        BLOB    NOT NULL,
    UNIQUE (nid, user_code)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_expires ON device (expires_at);
CREATE INDEX device_client ON device (nid, client_id, family_id);

CREATE TABLE device_guess (
    challenge  BLOB    PRIMARY KEY NOT NULL,
    nid        BLOB    NOT NULL,
    wrong      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX device_guess_expires ON device_guess (expires_at);

CREATE TABLE forced_subject (
    nid       BLOB NOT NULL,
    client_id TEXT NOT NULL,
    subject   TEXT NOT NULL,
    forced    TEXT NOT NULL,
    PRIMARY KEY (nid, client_id, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE flow_body (
    handle     BLOB    PRIMARY KEY NOT NULL,
    nid        BLOB    NOT NULL,
    sealed     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_body_expires ON flow_body (expires_at);

CREATE TABLE logout_delivery (
    id         BLOB    PRIMARY KEY NOT NULL,
    nid        BLOB    NOT NULL,
    client_id  TEXT    NOT NULL,
    uri        TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    session_id BLOB    NOT NULL,
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    dead       INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX logout_delivery_next ON logout_delivery (next_at) WHERE dead = 0;
CREATE INDEX logout_delivery_dead ON logout_delivery (created_at) WHERE dead = 1;
