-- Whether a consent was ever remembered for the client: if not, no login has to look for one. True where nobody knows:
-- for clients of before, and for those made by a replica that does not know the column.
ALTER TABLE client ADD COLUMN has_remembered_consent boolean NOT NULL DEFAULT true;
