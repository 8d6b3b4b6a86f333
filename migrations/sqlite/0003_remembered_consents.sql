-- Whether a consent was ever remembered for the client: if not, no login has to look for one. True where nobody knows.
ALTER TABLE client ADD COLUMN has_remembered_consent INTEGER NOT NULL DEFAULT 1;
