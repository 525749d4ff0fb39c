-- How good each record is by the four words, as it was last computed: `flags` is a set of bits whose order the program
-- fixes (model/quality.rs), `due_at` the next instant at which they change by time alone. `unit`, `person` and `serving`
-- are what the counts and the neighbours were told. `revision` counts the computations: of two at once, one is written.
CREATE TABLE quality (
    record TEXT PRIMARY KEY,
    unit TEXT COLLATE "C" NOT NULL,
    person TEXT,
    serving BIGINT NOT NULL,
    signed BIGINT NOT NULL,
    version BIGINT NOT NULL,
    flags BIGINT NOT NULL,
    due_at BIGINT,
    revision BIGINT NOT NULL
);
CREATE INDEX quality_by_unit ON quality (unit, record);
CREATE INDEX quality_due ON quality (due_at) WHERE due_at IS NOT NULL;

-- Records that have to be computed again. A process claims a run of entries for a while; entries of one record may come
-- several times. Whoever changes a record or what surrounds it leaves an entry by the triggers below, so that nothing has
-- to be searched for.
CREATE TABLE quality_dirty (
    seq BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    record TEXT NOT NULL,
    claim TEXT NOT NULL DEFAULT '',
    claimed_until BIGINT NOT NULL DEFAULT 0
);
CREATE FUNCTION quality_follows_records() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO quality_dirty (record) SELECT id FROM moved; RETURN NULL; END $$;
CREATE TRIGGER quality_follows_new_records AFTER INSERT ON records
REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION quality_follows_records();
CREATE FUNCTION quality_follows_changed_records() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    INSERT INTO quality_dirty (record) SELECT moved.id FROM moved JOIN was ON was.id = moved.id
    WHERE (moved.unit, moved.version, moved.changed_at, moved.population, moved.population_detail, moved.person,
moved.confirmed_at, moved.removed_at)
    IS DISTINCT FROM
    (was.unit, was.version, was.changed_at, was.population, was.population_detail, was.person, was.confirmed_at,
was.removed_at);
    RETURN NULL;
END $$;
CREATE TRIGGER quality_follows_records AFTER UPDATE ON records
REFERENCING OLD TABLE AS was NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION quality_follows_changed_records();
CREATE TRIGGER quality_follows_deleted_records AFTER DELETE ON records
REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION quality_follows_records();
CREATE FUNCTION quality_follows_cards() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO quality_dirty (record) VALUES (NEW.record_id); RETURN NULL; END $$;
CREATE TRIGGER quality_follows_cards AFTER UPDATE ON cards FOR EACH ROW
WHEN (NEW.state_reason = 'under_review' OR OLD.state_reason = 'under_review')
EXECUTE FUNCTION quality_follows_cards();
CREATE FUNCTION quality_follows_others() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO quality_dirty (record) SELECT record FROM moved; RETURN NULL; END $$;

-- What is in dispute about a record: a row as long as it is, for example a proposal or a conflict of a synchronisation. A
-- card locked for review is one without a row.
CREATE TABLE discrepancies (
    record TEXT NOT NULL,
    kind TEXT NOT NULL,
    reference TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    PRIMARY KEY (record, kind, reference)
);
CREATE TRIGGER quality_follows_new_discrepancies AFTER INSERT ON discrepancies
REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION quality_follows_others();
CREATE TRIGGER quality_follows_ended_discrepancies AFTER DELETE ON discrepancies
REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION quality_follows_others();

-- The version of a record that the last approval over it signed.
CREATE TABLE signed_records (
    record TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    signed_at BIGINT NOT NULL,
    approval TEXT NOT NULL
);
CREATE TRIGGER quality_follows_new_signatures AFTER INSERT ON signed_records
REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION quality_follows_others();
CREATE TRIGGER quality_follows_signatures AFTER UPDATE ON signed_records
REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION quality_follows_others();

-- Counts of each unit with everything below it; the nation is the empty unit. They move with the rows of `quality` in the
-- same transaction.
CREATE TABLE quality_units (
    unit TEXT COLLATE "C" PRIMARY KEY,
    parent TEXT COLLATE "C",
    records BIGINT NOT NULL,
    correct BIGINT NOT NULL,
    sufficient BIGINT NOT NULL,
    clean BIGINT NOT NULL,
    live BIGINT NOT NULL,
    perfect BIGINT NOT NULL,
    signed BIGINT NOT NULL
);
CREATE INDEX quality_units_by_parent ON quality_units (parent, unit);
CREATE TABLE quality_causes (
    unit TEXT NOT NULL,
    flag TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (unit, flag)
);

-- The same as it stood at the last change of a day (of a month, for the causes) in Vietnam. A day without a change has no
-- row: the one before holds.
CREATE TABLE quality_days (
    unit TEXT COLLATE "C" NOT NULL,
    day TEXT NOT NULL,
    records BIGINT NOT NULL,
    correct BIGINT NOT NULL,
    sufficient BIGINT NOT NULL,
    clean BIGINT NOT NULL,
    live BIGINT NOT NULL,
    perfect BIGINT NOT NULL,
    signed BIGINT NOT NULL,
    PRIMARY KEY (unit, day)
);
CREATE TABLE quality_months (
    unit TEXT NOT NULL,
    flag TEXT NOT NULL,
    month TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (unit, flag, month)
);

-- Days off, and weekends worked, that the operator loaded over the shipped ones.
CREATE TABLE holidays (
    day TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL
);

-- Certificates with which an officer may approve: this one, or any with its subject. They are taken out, never erased.
CREATE TABLE approver_certificates (
    id TEXT PRIMARY KEY,
    officer TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    subject TEXT NOT NULL,
    matches TEXT NOT NULL,
    certificate BYTEA NOT NULL,
    not_after BIGINT NOT NULL,
    added_at BIGINT NOT NULL,
    added_by TEXT NOT NULL,
    removed_at BIGINT,
    removed_by TEXT
);
CREATE INDEX approver_certificates_by_officer ON approver_certificates (officer);

-- Monthly approvals with everything that proves them: the signed document, the signature, the signer's certificate, and
-- the leaves of the document's tree in parts (lines of text, in order). `previous` is the digest of the document that the
-- unit's last approval signed, empty for the first: a chain without forks. They are never changed.
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    month TEXT NOT NULL,
    approver TEXT NOT NULL,
    approved_at BIGINT NOT NULL,
    reason TEXT,
    form TEXT NOT NULL,
    document TEXT NOT NULL,
    document_sha256 TEXT NOT NULL,
    previous TEXT NOT NULL,
    signature BYTEA NOT NULL,
    certificate BYTEA NOT NULL,
    certificate_sha256 TEXT NOT NULL,
    subject TEXT NOT NULL,
    UNIQUE (unit, month),
    UNIQUE (unit, previous)
);
CREATE TABLE approval_leaves (
    approval TEXT NOT NULL REFERENCES approvals (id),
    part BIGINT NOT NULL,
    leaves TEXT NOT NULL,
    PRIMARY KEY (approval, part)
);
CREATE FUNCTION refuse_approval_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'approvals are append-only'; END $$;
CREATE TRIGGER approvals_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON approvals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_approval_change();
CREATE TRIGGER approval_leaves_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON approval_leaves
FOR EACH STATEMENT EXECUTE FUNCTION refuse_approval_change();

-- Parts of an approval whose records do not yet know that they are signed.
CREATE TABLE approval_parts_to_mark (
    approval TEXT NOT NULL,
    part BIGINT NOT NULL,
    PRIMARY KEY (approval, part)
);

-- What is there already is computed first.
INSERT INTO quality_dirty (record) SELECT id FROM records ORDER BY unit, number;
