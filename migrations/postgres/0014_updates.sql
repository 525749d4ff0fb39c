-- What an official proposes to change in their own record. `patch` holds the changed fields with old and new values; the
-- old ones are those of `base_version`. `unit` is the managing unit when it was proposed. States: open, first_approved,
-- approved, refused, withdrawn, appealed, appeal_refused, expired. `reason` is a code of the list of reasons. `version` is
-- the record's version that it became. Every step is one conditional statement on `state`.
CREATE TABLE proposals (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    unit TEXT NOT NULL,
    person TEXT NOT NULL,
    base_version BIGINT NOT NULL,
    patch TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL,
    is_sensitive BIGINT NOT NULL,
    effective_on TEXT,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    first_approved_by TEXT,
    first_approved_at BIGINT,
    reason TEXT,
    reason_note TEXT,
    appealed_at BIGINT,
    appeal_note TEXT,
    version BIGINT
);
CREATE INDEX proposals_by_person ON proposals (person, created_at);
CREATE INDEX proposals_by_record ON proposals (record);
CREATE INDEX proposals_waiting ON proposals (unit, due_at) WHERE state IN ('open', 'first_approved', 'appealed');

-- As long as a proposal waits for a decision, it is in dispute what the record says.
CREATE FUNCTION proposals_dispute_records() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF NEW.state IN ('open', 'first_approved', 'appealed') THEN
        INSERT INTO discrepancies (record, kind, reference, opened_at)
        VALUES (NEW.record, 'proposal', NEW.id, COALESCE(NEW.appealed_at, NEW.created_at)) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM discrepancies WHERE record = NEW.record AND kind = 'proposal' AND reference = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER proposals_dispute_records AFTER INSERT OR UPDATE OF state ON proposals
FOR EACH ROW EXECUTE FUNCTION proposals_dispute_records();

-- What an official puts beside a proposal. The bytes are encrypted in the file `place`, outside the database; `sha256` is
-- of the plain bytes. Without a proposal it is cleared away after a while.
CREATE TABLE evidence (
    id TEXT PRIMARY KEY,
    proposal TEXT,
    person TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    place TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX evidence_by_proposal ON evidence (proposal);
CREATE INDEX evidence_by_person ON evidence (person);
CREATE INDEX evidence_unused ON evidence (created_at) WHERE proposal IS NULL;

-- One row for each official who writes here: whoever counts what they have open holds this row first, so that two requests
-- at once do not both take the last place.
CREATE TABLE self_service_people (
    person TEXT PRIMARY KEY,
    at BIGINT NOT NULL
);

-- An official's sign-in at VNeID on its way. `id` is the SHA-256 of the `state` that the provider brings back, `browser`
-- that of the cookie, `code` that of the code for the wallet. `client` is empty where the browser itself gets the session.
CREATE TABLE self_service_sign_ins (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    client_state TEXT,
    code_challenge TEXT NOT NULL,
    browser TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    person TEXT,
    signed_in_at BIGINT,
    code TEXT UNIQUE,
    ended_at BIGINT
);
CREATE INDEX self_service_sign_ins_by_end ON self_service_sign_ins (expires_at);

-- An official's session. `id` is the SHA-256 of its token, `way` is `sign_in` or `card`, `occasion` is what it was
-- exchanged for: a sign-in or a presentation, each once.
CREATE TABLE self_service_sessions (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    way TEXT NOT NULL,
    client TEXT NOT NULL,
    occasion TEXT NOT NULL UNIQUE,
    signed_in_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX self_service_sessions_by_end ON self_service_sessions (expires_at);
CREATE INDEX self_service_sessions_by_person ON self_service_sessions (person);
