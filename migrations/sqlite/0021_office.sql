-- The name that a record says as an office looks for it: without case and accents, every word after a space. `named_version`
-- is the version that it was taken from; the program follows where it is behind.
ALTER TABLE records ADD COLUMN search_name TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN named_version BIGINT NOT NULL DEFAULT 0;
CREATE INDEX records_not_named ON records (id) WHERE named_version < version;
