-- What `chaffinch-credits verify --record` found, for metrics and alerts. It proves nothing: whoever can change history can
-- write here, too.

CREATE TABLE verification (
    number  bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    ledger  integer NOT NULL REFERENCES ledger,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    sound   boolean NOT NULL,
    entries bigint NOT NULL
);
CREATE INDEX verification_newest ON verification (ledger, number);
