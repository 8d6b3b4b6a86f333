-- Access tokens lie in partitions by the hour of their end, which is dropped as a whole. A key is the number of that hour
-- in 2 bytes and 32 bytes of hash; 'ffff' is no hour: of tokens that live long, and of those that were issued until now.
-- Hours are made and dropped by the program, which numbers them. What has expired is left behind.

ALTER TABLE access_token RENAME TO access_token_before;

CREATE TABLE access_token_ffff (
    signature    bytea       NOT NULL,
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
INSERT INTO access_token_ffff
SELECT '\xffff'::bytea || signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at, session
FROM access_token_before WHERE expires_at > clock_timestamp();
DROP TABLE access_token_before;
ALTER TABLE access_token_ffff ADD PRIMARY KEY (signature);
CREATE INDEX access_token_ffff_expires ON access_token_ffff (expires_at);
CREATE INDEX access_token_ffff_client ON access_token_ffff (nid, client_id, family_id);

CREATE TABLE access_token (LIKE access_token_ffff) PARTITION BY RANGE (signature);
ALTER TABLE access_token ADD PRIMARY KEY (signature);
CREATE INDEX access_token_client ON access_token (nid, client_id, family_id);
ALTER TABLE access_token ATTACH PARTITION access_token_ffff FOR VALUES FROM ('\xffff') TO (MAXVALUE);

UPDATE refresh_token SET access_token = '\xffff'::bytea || access_token;
