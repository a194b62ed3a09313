-- Data keys, wrapped by key-encryption keys that the database never sees. A destroyed key keeps its row, without the key:
-- its epoch is never used again.

CREATE TABLE dek (
    ledger       integer NOT NULL REFERENCES ledger,
    purpose      text NOT NULL CHECK (purpose IN ('field', 'fingerprint')),
    epoch        integer NOT NULL CHECK (epoch > 0),
    kek          text NOT NULL,
    wrapped      bytea,
    made_at      timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    PRIMARY KEY (ledger, purpose, epoch),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);
