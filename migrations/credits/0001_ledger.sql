-- Ledgers, accounts, entries, holds, lots and the block chain.
--
-- What is decided is decided by the service under the lock of ledger_head; what must never happen is forbidden here as
-- well: a balance below zero, a second entry of one id, a change of anything that was written down.
-- Times are microseconds since 1970 in UTC, amounts whole numbers of the asset's smallest unit.

CREATE TABLE ledger (
    key        integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id         uuid NOT NULL UNIQUE,
    name       text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE asset (
    ledger integer NOT NULL REFERENCES ledger,
    code   text NOT NULL CHECK (code ~ '^[A-Z][A-Z0-9_]{0,15}$'),
    scale  smallint NOT NULL CHECK (scale BETWEEN 0 AND 18),
    PRIMARY KEY (ledger, code)
);

CREATE TABLE ledger_head (
    ledger       integer PRIMARY KEY REFERENCES ledger,
    next_seq     bigint NOT NULL DEFAULT 1,
    next_number  bigint NOT NULL DEFAULT 1,
    block_number bigint NOT NULL DEFAULT 0,
    block_hash   bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
) WITH (fillfactor = 10);

CREATE TABLE account (
    ledger         integer NOT NULL REFERENCES ledger,
    number         bigint NOT NULL,
    name           text NOT NULL,
    asset          text NOT NULL,
    allow_negative boolean NOT NULL,
    closed         boolean NOT NULL DEFAULT false,
    debits         bigint NOT NULL DEFAULT 0 CHECK (debits >= 0),
    credits        bigint NOT NULL DEFAULT 0 CHECK (credits >= 0),
    held           bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    expected       bigint NOT NULL DEFAULT 0 CHECK (expected >= 0),
    version        bigint NOT NULL,
    PRIMARY KEY (ledger, number),
    UNIQUE (ledger, name),
    CONSTRAINT never_negative CHECK (allow_negative OR credits - debits - held >= 0)
) WITH (fillfactor = 70);

CREATE TABLE entry (
    seq            bigint NOT NULL,
    debit          bigint NOT NULL,
    credit         bigint NOT NULL,
    amount         bigint NOT NULL CHECK (amount >= 0),
    debit_balance  bigint NOT NULL,
    debit_held     bigint NOT NULL,
    credit_balance bigint NOT NULL,
    credit_held    bigint NOT NULL,
    effective_at   bigint NOT NULL,
    created_at     bigint NOT NULL,
    expires_at     bigint,
    ledger         integer NOT NULL,
    code           integer NOT NULL,
    priority       integer NOT NULL,
    kind           smallint NOT NULL,
    outcome        smallint NOT NULL,
    id             uuid NOT NULL,
    target         uuid,
    body_hash      bytea NOT NULL CHECK (length(body_hash) = 32),
    leaf           bytea NOT NULL CHECK (length(leaf) = 32),
    PRIMARY KEY (ledger, seq),
    CONSTRAINT entry_once UNIQUE (ledger, id)
);
CREATE INDEX entry_debit ON entry (ledger, debit, seq);
CREATE INDEX entry_credit ON entry (ledger, credit, seq);
-- a second reversal of one transfer is impossible, whatever the service believes
CREATE UNIQUE INDEX entry_reversed_once ON entry (ledger, target) WHERE kind = 10 AND outcome = 0;

CREATE TABLE metadata (
    ledger integer NOT NULL,
    seq    bigint NOT NULL,
    body   bytea NOT NULL,
    PRIMARY KEY (ledger, seq)
);

CREATE TABLE hold (
    ledger     integer NOT NULL,
    id         uuid NOT NULL,
    seq        bigint NOT NULL,
    debit      bigint NOT NULL,
    credit     bigint NOT NULL,
    amount     bigint NOT NULL CHECK (amount > 0),
    expires_at bigint,
    state      smallint NOT NULL,
    draws      bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (ledger, id)
) WITH (fillfactor = 70);
CREATE INDEX hold_due ON hold (ledger, debit, expires_at) WHERE state = 4 AND expires_at IS NOT NULL;

CREATE TABLE lot (
    ledger     integer NOT NULL,
    seq        bigint NOT NULL,
    id         uuid NOT NULL,
    account    bigint NOT NULL,
    source     bigint NOT NULL,
    amount     bigint NOT NULL CHECK (amount > 0),
    remaining  bigint NOT NULL CHECK (remaining BETWEEN 0 AND amount),
    priority   integer NOT NULL,
    expires_at bigint,
    PRIMARY KEY (ledger, seq)
) WITH (fillfactor = 70);
CREATE INDEX lot_left ON lot (ledger, account) WHERE remaining > 0;

CREATE TABLE block (
    ledger   integer NOT NULL,
    number   bigint NOT NULL,
    first    bigint NOT NULL,
    last     bigint NOT NULL,
    previous bytea NOT NULL CHECK (length(previous) = 32),
    hash     bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (ledger, number)
);

CREATE TABLE checkpoint (
    ledger  integer NOT NULL,
    size    bigint NOT NULL,
    root    bytea NOT NULL CHECK (length(root) = 32),
    note    text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ledger, size)
);

-- hashes of the full tiles of the Merkle tree, 256 wide; what is not full is computed from leaves
CREATE TABLE tile (
    ledger integer NOT NULL,
    level  smallint NOT NULL,
    index  bigint NOT NULL,
    hashes bytea NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (ledger, level, index)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'chaffinch: % is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['entry', 'metadata', 'block', 'checkpoint', 'tile'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    END LOOP;
END
$$;
