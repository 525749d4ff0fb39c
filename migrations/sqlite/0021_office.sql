-- The name that a record says as an office looks for it: without case and accents, every word after a space. Records that
-- were there before get theirs from the program; a name is never empty.
ALTER TABLE records ADD COLUMN search_name TEXT NOT NULL DEFAULT '';
CREATE INDEX records_not_named ON records (id) WHERE search_name = '';
