-- Webhooks. What they are told of is in block, one row a batch, written in the transaction of its entries: nothing more is
-- written for an event. A webhook is a cursor over the blocks of its ledger.

CREATE TABLE webhook (
    id              uuid PRIMARY KEY,
    ledger          integer NOT NULL REFERENCES ledger,
    url             text NOT NULL,
    secret          bytea NOT NULL,
    previous_secret bytea,
    previous_until  timestamptz,
    delivered       bigint NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL DEFAULT now(),
    claimed_by      uuid,
    claimed_until   timestamptz,
    disabled        boolean NOT NULL DEFAULT false,
    last_error      text NOT NULL DEFAULT '',
    made_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_ledger ON webhook (ledger);

CREATE TABLE webhook_dead (
    webhook  uuid NOT NULL REFERENCES webhook ON DELETE CASCADE,
    block    bigint NOT NULL,
    error    text NOT NULL,
    given_up timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (webhook, block)
);
