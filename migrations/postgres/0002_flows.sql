-- Authorization flows, refresh tokens and devices. A consent's id is that of the token family of all that is issued on
-- it. As before: no foreign keys where a lost row can only end something.

-- Serves what the index before it served, and finds the families that are still to be revoked.
CREATE INDEX token_family_client_revoked ON token_family (nid, client_id, revoked_at);
DROP INDEX token_family_client;
CREATE INDEX token_family_revoked_shared ON token_family (revoked_at) WHERE shared AND revoked_at IS NOT NULL;

-- A session that ended stays as a row, so that it cannot end twice.
CREATE TABLE login_session (
    id                           uuid        PRIMARY KEY,
    nid                          uuid        NOT NULL,
    subject                      text        COLLATE "C" NOT NULL,
    authenticated_at             timestamptz NOT NULL,
    expires_at                   timestamptz NOT NULL,
    ended_at                     timestamptz,
    identity_provider_session_id text        NOT NULL
);
CREATE INDEX login_session_subject ON login_session (nid, subject);
CREATE INDEX login_session_expires ON login_session (expires_at);

-- sweep_after: when a sweep is to look at it next; null for one that is remembered for ever.
CREATE TABLE consent (
    id             uuid        PRIMARY KEY,
    nid            uuid        NOT NULL,
    client_id      text        COLLATE "C" NOT NULL,
    subject        text        COLLATE "C" NOT NULL,
    session_id     uuid        NOT NULL,
    scope          text        NOT NULL,
    audience       text        NOT NULL,
    skipped        boolean     NOT NULL,
    remember       boolean     NOT NULL,
    remember_until timestamptz,
    requested_at   timestamptz NOT NULL,
    handled_at     timestamptz NOT NULL,
    detail         bytea       NOT NULL,
    sweep_after    timestamptz
);
CREATE INDEX consent_client ON consent (nid, client_id, subject, handled_at);
CREATE INDEX consent_subject ON consent (nid, subject, handled_at, id);
CREATE INDEX consent_session ON consent (session_id);
CREATE INDEX consent_handled ON consent (nid, handled_at);
CREATE INDEX consent_sweep ON consent (sweep_after);

CREATE TABLE authorization_code (
    signature      bytea       PRIMARY KEY,
    nid            uuid        NOT NULL,
    family_id      uuid        NOT NULL,
    client_id      text        COLLATE "C" NOT NULL,
    redirect_uri   text,
    code_challenge text,
    expires_at     timestamptz NOT NULL,
    spent_at       timestamptz,
    session        bytea       NOT NULL
);
CREATE INDEX authorization_code_expires ON authorization_code (expires_at);
CREATE INDEX authorization_code_client ON authorization_code (nid, client_id, family_id);

CREATE TABLE refresh_token (
    signature    bytea       PRIMARY KEY,
    nid          uuid        NOT NULL,
    family_id    uuid        NOT NULL,
    client_id    text        COLLATE "C" NOT NULL,
    subject      text        COLLATE "C" NOT NULL,
    scope        text        NOT NULL,
    audience     text        NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at   timestamptz,
    used_at      timestamptz,
    replayed     integer     NOT NULL,
    access_token bytea       NOT NULL,
    successor    bytea       NOT NULL,
    session      bytea       NOT NULL
);
CREATE INDEX refresh_token_expires ON refresh_token (expires_at);
CREATE INDEX refresh_token_client ON refresh_token (nid, client_id, family_id);

CREATE TABLE device (
    signature      bytea       PRIMARY KEY,
    nid            uuid        NOT NULL,
    user_code      bytea       NOT NULL,
    client_id      text        COLLATE "C" NOT NULL,
    scope          text        NOT NULL,
    audience       text        NOT NULL,
    requested_at   timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    poll_interval  integer     NOT NULL,
    last_polled_at timestamptz,
    flow_id        uuid        UNIQUE,
    state          text        NOT NULL,
    family_id      uuid,
    session        bytea       NOT NULL,
    UNIQUE (nid, user_code)
);
CREATE INDEX device_expires ON device (expires_at);
CREATE INDEX device_client ON device (nid, client_id, family_id);

CREATE TABLE device_guess (
    challenge  uuid        PRIMARY KEY,
    nid        uuid        NOT NULL,
    wrong      integer     NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX device_guess_expires ON device_guess (expires_at);

CREATE TABLE forced_subject (
    nid       uuid NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    subject   text COLLATE "C" NOT NULL,
    forced    text NOT NULL,
    PRIMARY KEY (nid, client_id, subject)
);

CREATE TABLE flow_body (
    handle     bytea       PRIMARY KEY,
    nid        uuid        NOT NULL,
    sealed     bytea       NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX flow_body_expires ON flow_body (expires_at);

CREATE TABLE logout_delivery (
    id         uuid        PRIMARY KEY,
    nid        uuid        NOT NULL,
    client_id  text        COLLATE "C" NOT NULL,
    uri        text        NOT NULL,
    subject    text        NOT NULL,
    session_id uuid        NOT NULL,
    attempts   integer     NOT NULL,
    next_at    timestamptz NOT NULL,
    dead       boolean     NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX logout_delivery_next ON logout_delivery (next_at) WHERE NOT dead;
CREATE INDEX logout_delivery_dead ON logout_delivery (created_at) WHERE dead;
