-- Administration, and attempts that were turned away. What happens to credits is in entry.

CREATE TABLE audit_logs (
    number  bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,
    action  text NOT NULL,
    object  text NOT NULL,
    outcome text NOT NULL,
    origin  text NOT NULL,
    times   integer NOT NULL CHECK (times > 0)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
