-- Checkpoints without network carry the statuses of the cards that are shown as QR codes, and no others. So QR cards and
-- badges get status lists of their own ('qr'), credentials that are shown online others ('other'). Lists from before hold
-- both ('any'); no new entry is drawn from them.
ALTER TABLE status_lists ADD COLUMN purpose TEXT NOT NULL DEFAULT 'any';

-- Documents that checkpoints carry, as they were signed: 'statuses', 'agencies', 'gate:ID'. Versions of a kind only grow;
-- `state` tells what the document was made from, so that every process sees when a new one is due. Old versions are kept
-- for a while: a delta starts from one.
CREATE TABLE checkpoint_documents (
    kind TEXT NOT NULL,
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (kind, version)
);

-- Gates and their rules (JSON). The id is random and stands in the link that installs a checkpoint there; `salt` hides
-- the cards in the list of people on duty. A closed gate keeps its row: its checkpoints have to learn it.
CREATE TABLE gates (
    id TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    rules TEXT NOT NULL,
    salt TEXT NOT NULL,
    revision BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    closed_at BIGINT
);
