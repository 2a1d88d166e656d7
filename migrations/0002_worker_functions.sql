-- What a worker may do: each function takes the run, the epoch and the secret of the lease it holds.
-- SQLSTATE SW001: the lease is not the caller's (any more). SW003: a log chunk at the wrong offset.

CREATE FUNCTION slipway.lease_length() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '15 seconds';

-- The queue row of a held lease, locked; the gate of every function below.
CREATE FUNCTION slipway.held(p_run uuid, p_epoch bigint, p_token text) RETURNS slipway.run_queue
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    queued slipway.run_queue;
BEGIN
    SELECT * INTO queued FROM run_queue
    WHERE run_id = p_run AND status = 'started' AND epoch = p_epoch
        AND lease_token_hash = sha256(convert_to(p_token, 'UTF8'))
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease of run % is lost', p_run USING ERRCODE = 'SW001';
    END IF;
    RETURN queued;
END $$;

CREATE FUNCTION slipway.register_worker(p_id uuid, p_store uuid, p_name text, p_platform text, p_slots integer)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    INSERT INTO slipway.workers (id, store, name, platform, slots) VALUES (p_id, p_store, p_name, p_platform, p_slots)
    ON CONFLICT (id) DO UPDATE SET seen_at = now();
END;

-- The next run for a worker: the registry with the fewest runs at work first, then priority, then age.
-- Registries are few and each one's queue is an index: what waits behind is never read.
CREATE FUNCTION slipway.lease_next(p_worker uuid)
RETURNS TABLE (run_id uuid, attempt integer, epoch bigint, token text, registry text, address text,
    plain_http boolean, spec jsonb, scope text, deadline timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
#variable_conflict use_column
DECLARE
    me slipway.workers;
    turn text;
    chosen uuid;
    secret text := replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
BEGIN
    SELECT * INTO me FROM workers w WHERE w.id = p_worker;
    FOR turn IN
        SELECT g.name FROM registries g
        CROSS JOIN LATERAL (SELECT q.priority, q.queued_at FROM run_queue q WHERE q.registry = g.name AND q.status = 'queued'
            ORDER BY q.priority DESC, q.queued_at, q.run_id LIMIT 1) head
        LEFT JOIN (SELECT q.registry, count(*) AS running FROM run_queue q WHERE q.status = 'started'
            GROUP BY q.registry) busy ON busy.registry = g.name
        ORDER BY coalesce(busy.running, 0), head.priority DESC, head.queued_at
    LOOP
        SELECT q.run_id INTO chosen FROM run_queue q
        WHERE q.registry = turn AND q.status = 'queued' AND q.platform = me.platform AND q.not_before <= now()
            AND NOT q.cancel_requested
        ORDER BY q.priority DESC, q.queued_at, q.run_id LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN FOUND;
    END LOOP;
    IF chosen IS NULL THEN
        RETURN;
    END IF;
    UPDATE run_queue q SET status = 'started', epoch = q.epoch + 1, leased_by = p_worker,
        lease_token_hash = sha256(convert_to(secret, 'UTF8')), lease_expires_at = now() + lease_length(),
        deadline = now() + make_interval(secs => q.timeout_seconds), progress = NULL
    WHERE q.run_id = chosen;
    UPDATE runs r SET status = 'started', started_at = now() WHERE r.id = chosen;
    INSERT INTO attempts (run_id, attempt, worker, store) SELECT r.id, r.attempt, me.id, me.store FROM runs r WHERE r.id = chosen;
    INSERT INTO step_runs (run_id, attempt, kind, status) SELECT r.id, r.attempt, 'build', 'started' FROM runs r WHERE r.id = chosen;
    RETURN QUERY
        SELECT r.id, r.attempt, q.epoch, secret, r.registry, g.address, g.plain_http, r.spec, r.scope, q.deadline
        FROM runs r JOIN run_queue q ON q.run_id = r.id JOIN registries g ON g.name = r.registry WHERE r.id = chosen;
END $$;

-- One batched heartbeat. A run that is not in the answer's `continue` has to end: `cancel`,
-- `timed_out`, or `lost`.
CREATE FUNCTION slipway.renew_leases(p_worker uuid, p_runs uuid[], p_epochs bigint[], p_tokens text[], p_progress jsonb[])
RETURNS TABLE (run_id uuid, verdict text)
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    UPDATE slipway.workers SET seen_at = now() WHERE id = p_worker;
    WITH held AS (SELECT * FROM unnest(p_runs, p_epochs, p_tokens, p_progress) AS h(run_id, epoch, token, progress)),
    renewed AS (
        UPDATE slipway.run_queue q SET lease_expires_at = now() + slipway.lease_length(), progress = held.progress
        FROM held
        WHERE q.run_id = held.run_id AND q.status = 'started' AND q.epoch = held.epoch
            AND q.lease_token_hash = sha256(convert_to(held.token, 'UTF8'))
        RETURNING q.run_id, q.cancel_requested, q.deadline)
    SELECT held.run_id, CASE
        WHEN renewed.run_id IS NULL THEN 'lost'
        WHEN renewed.cancel_requested THEN 'cancel'
        WHEN renewed.deadline < now() THEN 'timed_out'
        ELSE 'continue' END
    FROM held LEFT JOIN renewed ON renewed.run_id = held.run_id;
END;

CREATE FUNCTION slipway.log_end(p_run uuid, p_attempt integer) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT c.start + length(c.bytes) FROM slipway.log_chunks c
        WHERE c.run_id = p_run AND c.attempt = p_attempt ORDER BY c.start DESC LIMIT 1), 0);
END;

-- Appends at exactly the log's end; the same chunk again is fine, so a doubtful write can be repeated.
CREATE FUNCTION slipway.append_log(p_run uuid, p_epoch bigint, p_token text, p_attempt integer, p_start bigint, p_bytes bytea)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    IF EXISTS (SELECT FROM log_chunks c WHERE c.run_id = p_run AND c.attempt = p_attempt AND c.start = p_start AND c.bytes = p_bytes) THEN
        RETURN;
    END IF;
    IF p_start <> log_end(p_run, p_attempt) THEN
        RAISE EXCEPTION 'the log of run % does not end at %', p_run, p_start USING ERRCODE = 'SW003';
    END IF;
    INSERT INTO log_chunks (run_id, attempt, start, bytes) VALUES (p_run, p_attempt, p_start, p_bytes);
END $$;

-- The publication of a run's present attempt, made where it is missing.
CREATE FUNCTION slipway.publication_of(p_run uuid) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication uuid;
BEGIN
    SELECT p.id INTO publication FROM publications p JOIN runs r ON r.id = p.run_id AND r.attempt = p.attempt WHERE r.id = p_run;
    IF FOUND THEN
        RETURN publication;
    END IF;
    INSERT INTO publications (run_id, attempt, store)
    SELECT r.id, r.attempt, a.store FROM runs r JOIN attempts a ON a.run_id = r.id AND a.attempt = r.attempt WHERE r.id = p_run
    RETURNING id INTO publication;
    INSERT INTO publication_images (publication_id, repository, tag)
    SELECT publication, split_part(name, ':', 1), coalesce(nullif(split_part(name, ':', 2), ''), 'latest')
    FROM runs r, jsonb_array_elements_text(r.spec -> 'images') AS name WHERE r.id = p_run
    ON CONFLICT DO NOTHING;
    RETURN publication;
END $$;

CREATE FUNCTION slipway.announce_blob(p_run uuid, p_epoch bigint, p_token text, p_digest text, p_size bigint,
    p_media_type text, p_scope text, p_source text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    INSERT INTO publication_blobs (publication_id, digest, size, media_type, scope, source)
    VALUES (publication_of(p_run), p_digest, p_size, p_media_type, p_scope, p_source)
    ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION slipway.cache_lookup(p_run uuid, p_epoch bigint, p_token text, p_keys text[])
RETURNS TABLE (key text, layer jsonb, description text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    RETURN QUERY SELECT c.key, c.layer, c.description
        FROM runs r JOIN attempts a ON a.run_id = r.id AND a.attempt = r.attempt
        JOIN cache_entries c ON c.scope = r.scope AND c.store = a.store AND c.key = ANY (p_keys)
        WHERE r.id = p_run;
END $$;

CREATE FUNCTION slipway.cache_record(p_run uuid, p_epoch bigint, p_token text, p_keys text[], p_layer jsonb, p_description text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    INSERT INTO cache_entries AS c (scope, store, key, layer, description)
    SELECT r.scope, a.store, k, p_layer, p_description
    FROM runs r JOIN attempts a ON a.run_id = r.id AND a.attempt = r.attempt, (SELECT DISTINCT unnest(p_keys)) AS keys(k)
    WHERE r.id = p_run ORDER BY k
    ON CONFLICT (scope, store, key) DO UPDATE SET layer = EXCLUDED.layer, description = EXCLUDED.description, created_at = now();
END $$;

CREATE FUNCTION slipway.source_chunk(p_run uuid, p_epoch bigint, p_token text, p_sequence integer)
RETURNS bytea LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    RETURN (SELECT c.bytes FROM runs r JOIN source_chunks c ON c.source_id = (r.spec -> 'source' ->> 'id')::uuid
        WHERE r.id = p_run AND c.sequence = p_sequence);
END $$;

-- Ends the present attempt, its steps and its publication.
CREATE FUNCTION slipway.end_attempt(p_run uuid, p_outcome text, p_failure jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    now_at integer;
BEGIN
    SELECT attempt INTO now_at FROM runs WHERE id = p_run;
    UPDATE attempts SET finished_at = now(), outcome = p_outcome, failure = p_failure
    WHERE run_id = p_run AND attempt = now_at AND finished_at IS NULL;
    UPDATE step_runs SET finished_at = now(),
        status = CASE WHEN p_outcome = 'lost' THEN 'failed' ELSE p_outcome END
    WHERE run_id = p_run AND attempt = now_at AND status = 'started';
    IF p_outcome <> 'succeeded' THEN
        UPDATE publications SET status = 'abandoned', finished_at = now()
        WHERE run_id = p_run AND attempt = now_at AND status IN ('open', 'sealed');
    END IF;
END $$;

-- Ends a run for good.
CREATE FUNCTION slipway.end_run(p_run uuid, p_status slipway.run_status, p_outcome text, p_failure jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM end_attempt(p_run, p_outcome, p_failure);
    UPDATE runs SET status = p_status, finished_at = now(), failure = p_failure WHERE id = p_run;
    DELETE FROM run_queue WHERE run_id = p_run;
END $$;

-- Queues a run's next attempt, or ends it where there is none left.
CREATE FUNCTION slipway.try_again(p_run uuid, p_outcome text, p_failure jsonb)
RETURNS slipway.run_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    run slipway.runs;
BEGIN
    SELECT * INTO run FROM runs WHERE id = p_run FOR UPDATE;
    IF run.cancel_requested_at IS NOT NULL THEN
        PERFORM end_run(p_run, 'cancelled', 'cancelled', NULL);
        RETURN 'cancelled';
    END IF;
    IF run.attempt >= run.max_attempts THEN
        PERFORM end_run(p_run, 'failed', p_outcome, p_failure || jsonb_build_object(
            'message', format('%s The run was tried %s times.', p_failure ->> 'message', run.attempt)));
        RETURN 'failed';
    END IF;
    PERFORM end_attempt(p_run, p_outcome, p_failure);
    UPDATE runs SET status = 'queued', attempt = attempt + 1 WHERE id = p_run;
    UPDATE run_queue SET status = 'queued', leased_by = NULL, lease_token_hash = NULL, lease_expires_at = NULL,
        deadline = NULL, progress = NULL, not_before = now() + make_interval(secs => power(2, run.attempt - 1)::integer)
    WHERE run_id = p_run;
    RETURN 'queued';
END $$;

-- The worker's last word. `p_outcome`: publishing, succeeded (nothing to push), failed, cancelled, timed_out.
CREATE FUNCTION slipway.finish(p_run uuid, p_epoch bigint, p_token text, p_outcome text, p_failure jsonb, p_revision jsonb,
    p_manifest jsonb, p_blobs jsonb)
RETURNS slipway.run_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    queued slipway.run_queue;
    publication slipway.publications;
BEGIN
    queued := held(p_run, p_epoch, p_token);
    UPDATE runs SET revision = coalesce(p_revision, revision) WHERE id = p_run;
    IF queued.cancel_requested OR p_outcome = 'cancelled' THEN
        PERFORM end_run(p_run, 'cancelled', 'cancelled', NULL);
        RETURN 'cancelled';
    ELSIF p_outcome = 'timed_out' THEN
        PERFORM end_run(p_run, 'timed_out', 'timed_out', p_failure);
        RETURN 'timed_out';
    ELSIF p_outcome = 'failed' AND p_failure ->> 'blame' = 'service' THEN
        RETURN try_again(p_run, 'failed', p_failure);
    ELSIF p_outcome = 'failed' THEN
        PERFORM end_run(p_run, 'failed', 'failed', p_failure);
        RETURN 'failed';
    END IF;
    UPDATE step_runs s SET status = 'succeeded', finished_at = now() FROM runs r
    WHERE r.id = p_run AND s.run_id = r.id AND s.attempt = r.attempt AND s.kind = 'build';
    UPDATE runs SET status = 'publishing', digest = p_manifest ->> 'digest' WHERE id = p_run;
    IF p_outcome = 'succeeded' THEN
        PERFORM end_run(p_run, 'succeeded', 'succeeded', NULL);
        RETURN 'succeeded';
    END IF;
    UPDATE run_queue SET status = 'publishing', leased_by = NULL, lease_token_hash = NULL, lease_expires_at = NULL,
        deadline = NULL WHERE run_id = p_run;
    INSERT INTO step_runs (run_id, attempt, kind, status) SELECT id, attempt, 'push', 'started' FROM runs WHERE id = p_run;
    publication.id := publication_of(p_run);
    SELECT * INTO publication FROM publications WHERE id = publication.id FOR UPDATE;
    IF publication.status = 'failed' AND publication.failure ->> 'blame' = 'service' THEN
        RETURN try_again(p_run, 'failed', publication.failure);
    ELSIF publication.status = 'failed' THEN
        PERFORM end_run(p_run, 'failed', 'failed', publication.failure);
        RETURN 'failed';
    END IF;
    INSERT INTO publication_blobs (publication_id, digest, size, media_type, scope, source)
    SELECT publication.id, b.digest, b.size, b.media_type, b.scope, b.source
    FROM jsonb_to_recordset(p_blobs) AS b(digest text, size bigint, media_type text, scope text, source text)
    ON CONFLICT DO NOTHING;
    UPDATE publications SET status = 'sealed', manifest = p_manifest WHERE id = publication.id;
    RETURN 'publishing';
END $$;

GRANT EXECUTE ON FUNCTION slipway.register_worker, slipway.lease_next, slipway.renew_leases, slipway.append_log,
    slipway.announce_blob, slipway.cache_lookup, slipway.cache_record, slipway.source_chunk, slipway.finish TO slipway_worker;
