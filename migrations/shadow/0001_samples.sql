-- Evaluations, states of shards, samples by day, labels, and the sums that outlive the samples.
--
-- A sample and the counts that it belongs to are written in one transaction, so that they never disagree. Samples lie
-- in one partition a day; a day that is over its retention is summed up and its partition dropped as a whole.

CREATE TABLE evaluation (
    key             bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    uid             uuid NOT NULL,
    generation      bigint NOT NULL CHECK (generation > 0),
    namespace       text NOT NULL,
    name            text NOT NULL,
    running         boolean NOT NULL DEFAULT true,
    max_delay       interval NOT NULL,
    samples_days    integer NOT NULL CHECK (samples_days > 0),
    aggregates_days integer NOT NULL CHECK (aggregates_days > 0),
    started_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    UNIQUE (uid, generation),
    CHECK (running = (ended_at IS NULL))
);

-- What a collector or a shard counted so far; progress: records of a shard, flushes of a collector.
CREATE TABLE shard_state (
    evaluation bigint NOT NULL REFERENCES evaluation ON DELETE CASCADE,
    shard      text NOT NULL,
    progress   bigint NOT NULL CHECK (progress >= 0),
    done       boolean NOT NULL,
    tally      text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (evaluation, shard)
);

CREATE TABLE traffic_samples (
    day              date NOT NULL,
    evaluation       bigint NOT NULL,
    request_id       text NOT NULL,
    seen_at          timestamptz NOT NULL DEFAULT now(),
    ordinal          bigint NOT NULL,
    stratum          text NOT NULL,
    cluster          text,
    label            boolean,
    control          boolean NOT NULL,
    candidate        boolean NOT NULL,
    control_score    double precision,
    candidate_score  double precision,
    differing        boolean NOT NULL,
    audited          boolean NOT NULL,
    control_status   smallint NOT NULL,
    candidate_status smallint NOT NULL,
    size             text NOT NULL,
    method           text NOT NULL,
    target           text NOT NULL,
    headers          jsonb NOT NULL,
    body             text,
    note             text NOT NULL,
    PRIMARY KEY (day, evaluation, request_id)
) PARTITION BY RANGE (day);

CREATE INDEX traffic_samples_discordant ON traffic_samples (evaluation, ordinal, request_id)
    WHERE control <> candidate;
CREATE INDEX traffic_samples_audit ON traffic_samples (evaluation, ordinal, request_id) WHERE audited;

-- Both labels of a request may be here: then they contradict each other and neither counts.
CREATE TABLE sample_label (
    evaluation  bigint NOT NULL REFERENCES evaluation ON DELETE CASCADE,
    request_id  text NOT NULL,
    label       boolean NOT NULL,
    labelled_at timestamptz NOT NULL,
    source      text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (evaluation, request_id, label)
);

-- Pairs of a dropped day, by what is known of their labels: what label_groups says of the samples that are left.
CREATE TABLE daily_pairs (
    day        date NOT NULL,
    evaluation bigint NOT NULL REFERENCES evaluation ON DELETE CASCADE,
    stratum    text NOT NULL,
    verdicts   smallint NOT NULL CHECK (verdicts BETWEEN 0 AND 3),
    audited    boolean NOT NULL,
    state      text NOT NULL,
    pairs      bigint NOT NULL CHECK (pairs > 0),
    PRIMARY KEY (day, evaluation, stratum, verdicts, audited, state)
);

CREATE FUNCTION partition_of(day date) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT 'traffic_samples_' || to_char(day, 'YYYYMMDD') $$;

-- Make a day's partition, if it is not there; returns whether it was made now.
CREATE FUNCTION ensure_partition(day date) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(partition_of(day)) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('chaffinch traffic_samples'));
    IF to_regclass(partition_of(day)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF traffic_samples FOR VALUES FROM (%L) TO (%L)',
                   partition_of(day), day, day + 1);
    RETURN true;
END $$;

-- The state of a label. late: it came, but more than max_delay after the request. pending: it may still come in time.
CREATE FUNCTION label_state(own boolean, positive timestamptz, negative timestamptz, seen timestamptz, delay interval,
                            at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN own IS NOT NULL THEN CASE
            WHEN (CASE WHEN own THEN negative ELSE positive END) IS NOT NULL THEN 'contradictory'
            WHEN own THEN 'positive' ELSE 'negative' END
        WHEN positive IS NOT NULL AND negative IS NOT NULL THEN 'contradictory'
        WHEN coalesce(positive, negative) > seen + delay THEN 'late'
        WHEN positive IS NOT NULL THEN 'positive'
        WHEN negative IS NOT NULL THEN 'negative'
        WHEN seen + delay > at THEN 'pending'
        ELSE 'missing' END $$;

-- Every sample of an evaluation with the state of its label at a time.
CREATE FUNCTION labelled_samples(of bigint, at timestamptz)
RETURNS TABLE (day date, request_id text, stratum text, verdicts integer, audited boolean, state text)
LANGUAGE sql STABLE AS $$
    SELECT s.day, s.request_id, s.stratum, 2 * s.control::int + s.candidate::int, s.audited,
           label_state(s.label, p.labelled_at, n.labelled_at, s.seen_at, e.max_delay, at)
    FROM traffic_samples s
    JOIN evaluation e ON e.key = s.evaluation
    LEFT JOIN sample_label p ON p.evaluation = s.evaluation AND p.request_id = s.request_id AND p.label
    LEFT JOIN sample_label n ON n.evaluation = s.evaluation AND n.request_id = s.request_id AND NOT n.label
    WHERE s.evaluation = of $$;

-- How many pairs there are of each kind, in samples and in days that are summed up.
CREATE FUNCTION label_groups(of bigint, at timestamptz)
RETURNS TABLE (stratum text, verdicts integer, audited boolean, state text, pairs bigint)
LANGUAGE sql STABLE AS $$
    SELECT g.stratum, g.verdicts, g.audited, g.state, sum(g.pairs)::bigint
    FROM (SELECT l.stratum, l.verdicts, l.audited, l.state, count(*) AS pairs
          FROM labelled_samples(of, at) l GROUP BY 1, 2, 3, 4
          UNION ALL
          SELECT d.stratum, d.verdicts, d.audited, d.state, d.pairs FROM daily_pairs d WHERE d.evaluation = of) g
    GROUP BY 1, 2, 3, 4 $$;

-- Sum up and drop every partition whose samples are all over their retention. One that a running evaluation has
-- samples in is kept, whatever its age, and the reason says for whom.
CREATE FUNCTION drop_expired_partitions(at timestamptz)
RETURNS TABLE (partition text, dropped boolean, reason text) LANGUAGE plpgsql AS $$
DECLARE
    found record;
    needed text;
    oldest integer;
BEGIN
    FOR found IN
        SELECT c.relname::text AS name, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'traffic_samples'::regclass ORDER BY c.relname
    LOOP
        EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', found.name);
        SELECT string_agg(format('%s/%s', e.namespace, e.name), ', ' ORDER BY e.namespace, e.name)
               FILTER (WHERE e.running), max(e.samples_days)
        INTO needed, oldest
        FROM evaluation e
        WHERE EXISTS (SELECT FROM traffic_samples s WHERE s.day = found.day AND s.evaluation = e.key);
        partition := found.name;
        CONTINUE WHEN found.day + coalesce(oldest, 0) >= (at AT TIME ZONE 'UTC')::date;
        dropped := needed IS NULL;
        reason := CASE WHEN dropped THEN 'retention is over' ELSE 'needed by running evaluations: ' || needed END;
        IF dropped THEN
            INSERT INTO daily_pairs (day, evaluation, stratum, verdicts, audited, state, pairs)
            SELECT l.day, e.key, l.stratum, l.verdicts, l.audited,
                   CASE l.state WHEN 'pending' THEN 'missing' ELSE l.state END, count(*)
            FROM evaluation e CROSS JOIN LATERAL labelled_samples(e.key, at) l
            WHERE l.day = found.day GROUP BY 1, 2, 3, 4, 5, 6
            ON CONFLICT ON CONSTRAINT daily_pairs_pkey DO UPDATE SET pairs = daily_pairs.pairs + excluded.pairs;
            EXECUTE format('DROP TABLE %I', found.name);
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- Forget evaluations whose sums are over their retention; states, labels and daily sums go with them.
CREATE FUNCTION drop_expired_evaluations(at timestamptz) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM evaluation e
        WHERE NOT e.running AND e.ended_at + make_interval(days => e.aggregates_days) < at
          AND NOT EXISTS (SELECT FROM traffic_samples s WHERE s.evaluation = e.key)
        RETURNING 1)
    SELECT count(*) FROM gone $$;
