-- What a store's cleaner asks and drops, and how long the service keeps what is over.

-- What publications of a store may still need of it. An attempt is in it from its first announced blob until its
-- publication has ended.
CREATE FUNCTION slipway.unfinished_publications(p_store uuid)
RETURNS TABLE (run_id uuid, attempt integer, scope text, digest text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT p.run_id, p.attempt, s.scope, b.digest
    FROM slipway.publications p JOIN slipway.runs r ON r.id = p.run_id
        CROSS JOIN LATERAL (
            SELECT b.digest, b.scope FROM slipway.publication_blobs b WHERE b.publication_id = p.id
            UNION ALL SELECT p.manifest ->> 'digest', r.scope WHERE p.manifest IS NOT NULL) b
        -- The publisher looks in both places.
        CROSS JOIN LATERAL (SELECT b.scope WHERE b.scope IS NOT NULL UNION SELECT r.scope) s
    WHERE p.store = p_store AND p.status IN ('open', 'sealed');
END;

CREATE INDEX cache_entries_of_blob ON slipway.cache_entries (store, (layer -> 'blob' ->> 'digest'));
-- Blobs that their store removes. Whoever calls it for another's store makes it forget steps, which are made again.
CREATE FUNCTION slipway.forget_blobs(p_store uuid, p_scopes text[], p_digests text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    DELETE FROM slipway.cache_entries c USING unnest(p_scopes, p_digests) AS b(scope, digest)
    WHERE c.store = p_store AND c.layer -> 'blob' ->> 'digest' = b.digest AND c.scope = b.scope;
END;
REVOKE ALL ON FUNCTION slipway.unfinished_publications, slipway.forget_blobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.unfinished_publications, slipway.forget_blobs TO slipway_worker;

-- A blob that the store lacks, or has damaged: pushing it again would be in vain. What made it is forgotten, and the run
-- is tried again, which makes it anew.
CREATE FUNCTION slipway.publication_lacks_blob(p_publication uuid, p_epoch bigint, p_token text, p_digest text, p_failure jsonb)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication slipway.publications;
BEGIN
    PERFORM lock_run_of(p_publication);
    publication := held_publication(p_publication, p_epoch, p_token);
    DELETE FROM cache_entries c WHERE c.store = publication.store AND c.layer -> 'blob' ->> 'digest' = p_digest
        AND c.scope = (SELECT r.scope FROM runs r WHERE r.id = publication.run_id);
    UPDATE publications SET status = 'failed', finished_at = now(), failure = p_failure WHERE id = p_publication;
    -- While the run is still being built, `finish` finds the failure here.
    IF publication.status = 'sealed' THEN
        PERFORM try_again(publication.run_id, 'failed', p_failure);
    END IF;
    RETURN 'failed';
END $$;
REVOKE ALL ON FUNCTION slipway.publication_lacks_blob FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.publication_lacks_blob TO slipway_publisher;

-- What is over is found by its end.
CREATE INDEX runs_by_end ON slipway.runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX sources_by_age ON slipway.sources (created_at);

-- Until when the logs of ended runs are removed: those older than an age, and the oldest ones of what is more than so
-- many bytes. Null: none.
CREATE FUNCTION slipway.logs_until(p_age interval, p_bytes bigint) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    WITH logs AS (
        SELECT r.finished_at, sum(e.bytes) OVER (ORDER BY r.finished_at DESC, r.id) AS with_later
        FROM slipway.runs r CROSS JOIN LATERAL (
            -- An attempt's last piece tells how long its log is.
            SELECT coalesce(sum(slipway.log_end(r.id, n)), 0) AS bytes FROM generate_series(1, r.attempt) n) e
        WHERE r.finished_at IS NOT NULL AND e.bytes > 0)
    SELECT greatest((SELECT max(finished_at) FROM logs WHERE with_later > p_bytes), now() - p_age);
END;

-- As for logs: bodies of deliveries that were worked off.
CREATE FUNCTION slipway.deliveries_until(p_age interval, p_bytes bigint) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    WITH bodies AS (
        SELECT d.received_at, sum(length(d.body)) OVER (ORDER BY d.received_at DESC, d.id) AS with_later
        FROM slipway.deliveries d WHERE d.status <> 'received')
    SELECT greatest((SELECT max(received_at) FROM bodies WHERE with_later > p_bytes), now() - p_age);
END;

-- Each of these removes at most so many rows, passes by what somebody has locked, and answers how many went.

CREATE FUNCTION slipway.forget_logs(p_until timestamptz, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM slipway.log_chunks c USING (
            SELECT l.run_id, l.attempt, l.start FROM slipway.runs r
                CROSS JOIN LATERAL (SELECT l.run_id, l.attempt, l.start FROM slipway.log_chunks l WHERE l.run_id = r.id LIMIT p_limit) l
            WHERE r.finished_at <= p_until LIMIT p_limit) old
        WHERE c.run_id = old.run_id AND c.attempt = old.attempt AND c.start = old.start RETURNING 1)
    SELECT count(*) FROM gone;
END;

-- Ended runs with all that is theirs, but those that have something to tell yet. Their logs go first, in parts.
CREATE FUNCTION slipway.forget_runs(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    gone bigint;
BEGIN
    gone := forget_logs(now() - p_age, p_limit * 10);
    IF gone > 0 THEN
        RETURN gone;
    END IF;
    DELETE FROM runs WHERE id IN (
        SELECT r.id FROM runs r WHERE r.finished_at <= now() - p_age
            AND NOT EXISTS (SELECT FROM outbox o WHERE o.run_id = r.id AND o.status = 'waiting')
        ORDER BY r.finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

CREATE FUNCTION slipway.forget_deliveries(p_until timestamptz, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM slipway.deliveries WHERE id IN (
            SELECT id FROM slipway.deliveries WHERE status <> 'received' AND received_at <= p_until
            ORDER BY received_at LIMIT p_limit FOR UPDATE SKIP LOCKED) RETURNING 1)
    SELECT count(*) FROM gone;
END;

CREATE FUNCTION slipway.forget_reports(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM slipway.outbox WHERE id IN (
            SELECT id FROM slipway.outbox WHERE status <> 'waiting' AND finished_at <= now() - p_age
            ORDER BY finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED) RETURNING 1)
    SELECT count(*) FROM gone;
END;

-- Pieces of uploads first, so that a large one is not removed in one go; a run keeps its upload until it has ended.
CREATE FUNCTION slipway.forget_uploads(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    old uuid;
    gone bigint;
BEGIN
    SELECT s.id INTO old FROM sources s WHERE s.created_at <= now() - p_age AND NOT EXISTS (
        SELECT FROM run_queue q JOIN runs r ON r.id = q.run_id WHERE r.spec -> 'source' ->> 'id' = s.id::text)
    ORDER BY s.created_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM source_chunks WHERE source_id = old AND sequence IN (
        SELECT sequence FROM source_chunks WHERE source_id = old LIMIT p_limit);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone < p_limit THEN
        DELETE FROM sources WHERE id = old;
    END IF;
    RETURN gone + 1;
END $$;

-- Steps that a store remembers which nobody has started a worker at for a month.
CREATE FUNCTION slipway.forget_stores(p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM slipway.cache_entries WHERE (scope, store, key) IN (
            SELECT c.scope, c.store, c.key FROM slipway.cache_entries c
            WHERE c.created_at < now() - interval '30 days'
                AND NOT EXISTS (SELECT FROM slipway.workers w WHERE w.store = c.store)
                AND NOT EXISTS (SELECT FROM slipway.attempts a WHERE a.store = c.store AND a.started_at > now() - interval '30 days')
            LIMIT p_limit) RETURNING 1)
    SELECT count(*) FROM gone;
END;
CREATE INDEX attempts_of_store ON slipway.attempts (store, started_at);

REVOKE ALL ON FUNCTION slipway.logs_until, slipway.deliveries_until, slipway.forget_logs, slipway.forget_runs,
    slipway.forget_deliveries, slipway.forget_reports, slipway.forget_uploads, slipway.forget_stores FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.logs_until, slipway.deliveries_until, slipway.forget_logs, slipway.forget_runs,
    slipway.forget_deliveries, slipway.forget_reports, slipway.forget_uploads, slipway.forget_stores TO slipway_server;

-- As before, without what is removed in parts now: uploads.
CREATE OR REPLACE FUNCTION slipway.tidy() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    DELETE FROM slipway.idempotency_keys WHERE created_at < now() - interval '24 hours';
    UPDATE slipway.hooks SET sealed_before = NULL, before_until = NULL WHERE before_until <= now();
    DELETE FROM slipway.workers w WHERE w.seen_at < now() - interval '7 days' AND NOT EXISTS (
        SELECT FROM slipway.publications p WHERE p.store = w.store AND p.status IN ('open', 'sealed'));
END;
