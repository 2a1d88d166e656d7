-- What the server may do to a run besides making it.

-- Answers `requested`, `too_late`, `not_found`, or the status in which the run has ended.
CREATE FUNCTION slipway.request_cancel(p_run uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    queued slipway.run_queue;
    publication slipway.publications;
BEGIN
    SELECT * INTO queued FROM run_queue WHERE run_id = p_run FOR UPDATE;
    IF NOT FOUND THEN
        RETURN coalesce((SELECT status::text FROM runs WHERE id = p_run), 'not_found');
    END IF;
    IF queued.status = 'publishing' THEN
        SELECT p.* INTO publication FROM publications p JOIN runs r ON r.id = p.run_id AND r.attempt = p.attempt
        WHERE r.id = p_run FOR UPDATE OF p;
        IF publication.manifest_put_epoch IS NOT NULL THEN
            RETURN 'too_late';
        END IF;
    END IF;
    UPDATE runs SET cancel_requested_at = coalesce(cancel_requested_at, now()) WHERE id = p_run;
    IF queued.status = 'started' THEN
        UPDATE run_queue SET cancel_requested = true WHERE run_id = p_run;
        PERFORM pg_notify('slipway', json_build_object('cancel', p_run)::text);
    ELSE
        PERFORM end_run(p_run, 'cancelled', 'cancelled', NULL);
    END IF;
    RETURN 'requested';
END $$;

-- What is done for a run that nobody works on any more.
CREATE FUNCTION slipway.rescue(p_run uuid, p_kind text, p_message text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    queued slipway.run_queue;
    reason jsonb;
BEGIN
    SELECT * INTO queued FROM run_queue WHERE run_id = p_run;
    IF queued.cancel_requested THEN
        PERFORM end_run(p_run, 'cancelled', 'cancelled', NULL);
        RETURN 'cancelled';
    ELSIF queued.deadline < now() THEN
        reason := jsonb_build_object('kind', 'timed_out', 'blame', 'limits',
            'message', format('The run was ended after its limit of %s seconds.', queued.timeout_seconds),
            'hint', 'Raise `timeout_seconds`.');
        PERFORM end_run(p_run, 'timed_out', 'timed_out', reason);
        RETURN 'timed_out';
    END IF;
    reason := jsonb_build_object('kind', p_kind, 'blame', 'service', 'message', p_message,
        'hint', 'See the log of the worker; the machine may have been short of memory.');
    RETURN try_again(p_run, 'lost', reason);
END $$;

-- Runs whose holder is gone. After a time without the database every holder first gets one lease
-- length to renew. `became`: queued, cancelled, timed_out, failed.
CREATE FUNCTION slipway.requeue_expired() RETURNS TABLE (run_id uuid, became text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    clock slipway.rescuer;
BEGIN
    SELECT * INTO clock FROM rescuer FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF clock.worked_at < now() - interval '7 seconds' THEN
        clock.resumed_at := now();
    END IF;
    UPDATE rescuer SET worked_at = now(), resumed_at = clock.resumed_at;
    IF clock.resumed_at > now() - lease_length() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH expired AS MATERIALIZED (
            SELECT q.run_id FROM run_queue q WHERE q.status = 'started' AND q.lease_expires_at < now()
            ORDER BY q.run_id LIMIT 100 FOR UPDATE SKIP LOCKED)
        SELECT e.run_id, rescue(e.run_id, 'worker_lost', 'The worker that had the run gave no sign of life any more.') FROM expired e;
    -- Blobs that lie in a store whose machine is gone can't be pushed: they have to be built again.
    RETURN QUERY
        WITH stranded AS MATERIALIZED (
            SELECT q.run_id FROM run_queue q JOIN publications p ON p.run_id = q.run_id AND p.status = 'sealed'
            WHERE q.status = 'publishing' AND p.created_at < now() - interval '5 minutes'
                AND (p.lease_expires_at IS NULL OR p.lease_expires_at < now() - interval '5 minutes')
                AND NOT EXISTS (SELECT FROM workers w WHERE w.store = p.store AND w.seen_at > now() - interval '5 minutes')
            ORDER BY q.run_id LIMIT 100 FOR UPDATE OF q SKIP LOCKED)
        SELECT s.run_id, rescue(s.run_id, 'store_lost', 'The machine that holds the run''s image gave no sign of life any more.') FROM stranded s;
END $$;

-- Removes what nobody asks for any more: keys and uploads of yesterday, workers of last week. A run keeps
-- its upload until it has ended.
CREATE FUNCTION slipway.tidy() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    DELETE FROM slipway.idempotency_keys WHERE created_at < now() - interval '24 hours';
    DELETE FROM slipway.sources s WHERE s.created_at < now() - interval '24 hours' AND NOT EXISTS (
        SELECT FROM slipway.run_queue q JOIN slipway.runs r ON r.id = q.run_id
        WHERE r.spec -> 'source' ->> 'id' = s.id::text);
    DELETE FROM slipway.workers w WHERE w.seen_at < now() - interval '7 days' AND NOT EXISTS (
        SELECT FROM slipway.publications p WHERE p.store = w.store AND p.status IN ('open', 'sealed'));
END;

GRANT EXECUTE ON FUNCTION slipway.tidy, slipway.request_cancel, slipway.requeue_expired, slipway.log_end TO slipway_server;
GRANT EXECUTE ON FUNCTION slipway.lease_length TO slipway_server;
