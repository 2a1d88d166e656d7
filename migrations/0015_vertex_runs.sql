-- What happened to each vertex of a run's build graph.

CREATE TABLE slipway.vertex_runs (
    run_id       uuid NOT NULL,
    attempt      integer NOT NULL,
    number       integer NOT NULL CHECK (number BETWEEN 1 AND 4096),  -- as in the log (`#3`); no attempt has more rows
    name         text NOT NULL CHECK (length(name) <= 200),           -- as the user wrote it: `RUN make`
    stage        text CHECK (length(stage) <= 200),
    line         integer CHECK (line >= 1),                           -- in the Dockerfile
    result       text NOT NULL CHECK (result IN ('running', 'cached', 'executed', 'failed', 'interrupted')),
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    PRIMARY KEY (run_id, attempt, number),
    FOREIGN KEY (run_id, attempt) REFERENCES slipway.attempts ON DELETE CASCADE,
    CHECK ((result = 'running') = (finished_at IS NULL)),
    CHECK (finished_at >= started_at)
);
GRANT SELECT ON slipway.vertex_runs TO slipway_server;

-- A batch of the attempt's vertices: new ones, and what became of known ones. Times come as milliseconds since
-- the worker got the lease, and become the attempt's start by this clock and that much: durations are the
-- worker's, and nothing begins before its attempt or ends later than now.
CREATE FUNCTION slipway.record_vertices(p_run uuid, p_epoch bigint, p_token text, p_numbers integer[], p_names text[],
    p_stages text[], p_lines integer[], p_results text[], p_started bigint[], p_finished bigint[])
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT slipway.held(p_run, p_epoch, p_token);
    INSERT INTO slipway.vertex_runs AS v (run_id, attempt, number, name, stage, line, result, started_at, finished_at)
    SELECT a.run_id, a.attempt, t.number, t.name, t.stage, t.line, t.result,
        least(now(), a.started_at + t.started * interval '1 millisecond'),
        CASE WHEN t.finished IS NOT NULL THEN least(now(), a.started_at + t.finished * interval '1 millisecond') END
    FROM slipway.runs r JOIN slipway.attempts a ON a.run_id = r.id AND a.attempt = r.attempt,
        unnest(p_numbers, p_names, p_stages, p_lines, p_results, p_started, p_finished)
            AS t(number, name, stage, line, result, started, finished)
    WHERE r.id = p_run
    ON CONFLICT (run_id, attempt, number) DO UPDATE SET result = EXCLUDED.result, finished_at = EXCLUDED.finished_at;
END;
REVOKE ALL ON FUNCTION slipway.record_vertices FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.record_vertices TO slipway_worker;

-- The end of a build, whoever says it, is the end of what still runs in it.
CREATE FUNCTION slipway.interrupt_vertices() RETURNS trigger LANGUAGE plpgsql SET search_path = slipway, pg_temp AS $$
BEGIN
    UPDATE vertex_runs v SET result = 'interrupted', finished_at = greatest(v.started_at, NEW.finished_at)
    WHERE v.run_id = NEW.run_id AND v.attempt = NEW.attempt AND v.result = 'running';
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION slipway.interrupt_vertices FROM PUBLIC;
CREATE TRIGGER interrupt_vertices AFTER UPDATE OF finished_at ON slipway.step_runs FOR EACH ROW
    WHEN (NEW.kind = 'build' AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION slipway.interrupt_vertices();

-- A worker is forgotten a week after its end; its name stays with what it did.
ALTER TABLE slipway.attempts ADD COLUMN worker_name text;
UPDATE slipway.attempts a SET worker_name =
    coalesce((SELECT w.name FROM slipway.workers w WHERE w.id = a.worker), a.worker::text);
ALTER TABLE slipway.attempts ALTER COLUMN worker_name SET NOT NULL;
CREATE FUNCTION slipway.name_worker() RETURNS trigger LANGUAGE plpgsql SET search_path = slipway, pg_temp AS $$
BEGIN
    NEW.worker_name := coalesce((SELECT w.name FROM workers w WHERE w.id = NEW.worker), NEW.worker::text);
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION slipway.name_worker FROM PUBLIC;
CREATE TRIGGER name_worker BEFORE INSERT ON slipway.attempts FOR EACH ROW EXECUTE FUNCTION slipway.name_worker();
