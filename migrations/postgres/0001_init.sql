-- Times are timestamptz; ids compare by byte; token tables carry no foreign keys: a token is valid by its own row and its
-- family's row, so a lost row can only end a token, never revive one.

CREATE TABLE network (
    id uuid PRIMARY KEY
);
INSERT INTO network (id) VALUES (gen_random_uuid());

CREATE TABLE client (
    nid                     uuid        NOT NULL REFERENCES network (id),
    id                      text        COLLATE "C" NOT NULL,
    name                    text        NOT NULL,
    owner                   text        NOT NULL,
    document                text        NOT NULL,
    secret_hash             text        NOT NULL,
    rotated_secret_hashes   text        NOT NULL,
    registration_token_hash bytea,
    family_id               uuid        NOT NULL,
    version                 bigint      NOT NULL,
    created_at              timestamptz NOT NULL,
    updated_at              timestamptz NOT NULL,
    PRIMARY KEY (nid, id)
);

CREATE TABLE token_family (
    id         uuid        PRIMARY KEY,
    nid        uuid        NOT NULL,
    client_id  text        COLLATE "C" NOT NULL,
    subject    text        NOT NULL,
    shared     boolean     NOT NULL,
    revoked_at timestamptz,
    version    bigint      NOT NULL
);
CREATE INDEX token_family_client ON token_family (nid, client_id);
CREATE INDEX token_family_revoked ON token_family (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE access_token (
    signature    bytea       PRIMARY KEY,
    nid          uuid        NOT NULL,
    family_id    uuid        NOT NULL,
    client_id    text        COLLATE "C" NOT NULL,
    subject      text        NOT NULL,
    scope        text        NOT NULL,
    audience     text        NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    session      bytea       NOT NULL
);
CREATE INDEX access_token_expires ON access_token (expires_at);
CREATE INDEX access_token_client ON access_token (nid, client_id, family_id);

CREATE TABLE assertion_jti (
    nid        uuid        NOT NULL,
    client_id  text        COLLATE "C" NOT NULL,
    jti        bytea       NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (nid, client_id, jti)
);
CREATE INDEX assertion_jti_expires ON assertion_jti (expires_at);

CREATE TABLE json_web_key (
    nid          uuid        NOT NULL REFERENCES network (id),
    set_id       text        COLLATE "C" NOT NULL,
    kid          text        COLLATE "C" NOT NULL,
    alg          text        NOT NULL,
    sealed       bytea       NOT NULL,
    created_at   timestamptz NOT NULL,
    activates_at timestamptz NOT NULL,
    retires_at   timestamptz,
    PRIMARY KEY (nid, set_id, kid)
);
