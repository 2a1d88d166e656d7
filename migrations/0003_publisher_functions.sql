-- What a publisher may do. Every function that can end a run locks its queue row before the
-- publication, as `finish` and `request_cancel` do.

-- A held publication, locked; the gate of every function below.
CREATE FUNCTION slipway.held_publication(p_publication uuid, p_epoch bigint, p_token text) RETURNS slipway.publications
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication slipway.publications;
BEGIN
    SELECT * INTO publication FROM publications
    WHERE id = p_publication AND status IN ('open', 'sealed') AND epoch = p_epoch
        AND lease_token_hash = sha256(convert_to(p_token, 'UTF8'))
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease of publication % is lost', p_publication USING ERRCODE = 'SW001';
    END IF;
    RETURN publication;
END $$;

-- The next publication of a store, those whose build is done first.
CREATE FUNCTION slipway.lease_publication(p_publisher uuid, p_store uuid)
RETURNS TABLE (publication_id uuid, run_id uuid, attempt integer, epoch bigint, token text, address text,
    plain_http boolean, scope text, images jsonb)
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    WITH candidate AS (
        SELECT p.id FROM slipway.publications p
        WHERE p.store = p_store AND p.status IN ('open', 'sealed') AND p.next_try_at <= now()
            AND (p.lease_expires_at IS NULL OR p.lease_expires_at < now())
        ORDER BY p.status DESC, p.created_at
        LIMIT 1 FOR UPDATE SKIP LOCKED),
    secret AS MATERIALIZED (SELECT replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '') AS token),
    leased AS (
        UPDATE slipway.publications p SET epoch = p.epoch + 1, leased_by = p_publisher,
            lease_token_hash = sha256(convert_to(secret.token, 'UTF8')),
            lease_expires_at = now() + slipway.lease_length()
        FROM candidate, secret WHERE p.id = candidate.id
        RETURNING p.id, p.run_id, p.attempt, p.epoch, secret.token)
    SELECT leased.id, leased.run_id, leased.attempt, leased.epoch, leased.token, g.address, g.plain_http, r.scope,
        coalesce((SELECT jsonb_agg(jsonb_build_object('repository', i.repository, 'tag', i.tag) ORDER BY i.repository, i.tag)
            FROM slipway.publication_images i WHERE i.publication_id = leased.id), '[]'::jsonb)
    FROM leased JOIN slipway.runs r ON r.id = leased.run_id JOIN slipway.registries g ON g.name = r.registry;
END;

-- False when the publication is somebody else's or has ended, for instance by a cancel.
CREATE FUNCTION slipway.renew_publication(p_publication uuid, p_epoch bigint, p_token text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    UPDATE publications SET lease_expires_at = now() + lease_length()
    WHERE id = p_publication AND status IN ('open', 'sealed') AND epoch = p_epoch
        AND lease_token_hash = sha256(convert_to(p_token, 'UTF8'));
    RETURN FOUND;
END $$;

-- What there is to push so far; `manifest` is there once the build is done.
CREATE FUNCTION slipway.publication_work(p_publication uuid, p_epoch bigint, p_token text)
RETURNS TABLE (manifest jsonb, blobs jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication slipway.publications;
BEGIN
    publication := held_publication(p_publication, p_epoch, p_token);
    RETURN QUERY SELECT publication.manifest, coalesce((
        SELECT jsonb_agg(jsonb_build_object('digest', b.digest, 'size', b.size, 'media_type', b.media_type,
            'scope', b.scope, 'source', b.source, 'state', b.state) ORDER BY b.digest)
        FROM publication_blobs b WHERE b.publication_id = publication.id), '[]'::jsonb);
END $$;

CREATE FUNCTION slipway.blob_state(p_publication uuid, p_epoch bigint, p_token text, p_digest text, p_state text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held_publication(p_publication, p_epoch, p_token);
    UPDATE publication_blobs SET state = p_state WHERE publication_id = p_publication AND digest = p_digest;
END $$;

-- The queue row of a publication's run, locked.
CREATE FUNCTION slipway.lock_run_of(p_publication uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT q.run_id FROM slipway.run_queue q
    WHERE q.run_id = (SELECT p.run_id FROM slipway.publications p WHERE p.id = p_publication) FOR UPDATE;
END;

-- The point after which a cancel comes too late.
CREATE FUNCTION slipway.begin_manifest(p_publication uuid, p_epoch bigint, p_token text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication slipway.publications;
BEGIN
    PERFORM lock_run_of(p_publication);
    publication := held_publication(p_publication, p_epoch, p_token);
    IF publication.status <> 'sealed' THEN
        RAISE EXCEPTION 'publication % has no manifest yet', p_publication USING ERRCODE = 'SW002';
    END IF;
    UPDATE publications SET manifest_put_epoch = p_epoch WHERE id = p_publication;
END $$;

-- Publication and run end in one transaction.
CREATE FUNCTION slipway.published(p_publication uuid, p_epoch bigint, p_token text, p_digest text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication slipway.publications;
BEGIN
    PERFORM lock_run_of(p_publication);
    publication := held_publication(p_publication, p_epoch, p_token);
    IF publication.manifest_put_epoch IS NULL THEN
        RAISE EXCEPTION 'publication % is published before its manifest', p_publication USING ERRCODE = 'SW002';
    END IF;
    UPDATE publications SET status = 'published', finished_at = now() WHERE id = p_publication;
    UPDATE publication_blobs SET state = 'verified' WHERE publication_id = p_publication;
    UPDATE runs SET digest = p_digest WHERE id = publication.run_id;
    PERFORM end_run(publication.run_id, 'succeeded', 'succeeded', NULL);
END $$;

-- A push that failed: for good where the user or a limit is to blame; else once more after a pause,
-- and after the fifth time the whole run is tried again. Answers what became of the publication.
CREATE FUNCTION slipway.publication_failed(p_publication uuid, p_epoch bigint, p_token text, p_failure jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication slipway.publications;
    for_good boolean := p_failure ->> 'blame' <> 'service';
BEGIN
    PERFORM lock_run_of(p_publication);
    publication := held_publication(p_publication, p_epoch, p_token);
    IF NOT for_good AND publication.tries < 4 THEN
        UPDATE publications SET tries = tries + 1, next_try_at = now() + make_interval(secs => power(2, tries)::integer),
            lease_token_hash = NULL, leased_by = NULL, lease_expires_at = NULL, failure = p_failure
        WHERE id = p_publication;
        RETURN 'waits';
    END IF;
    UPDATE publications SET status = 'failed', finished_at = now(), failure = p_failure WHERE id = p_publication;
    -- While the run is still being built, `finish` finds the failure here.
    IF publication.status = 'open' THEN
        RETURN 'failed';
    ELSIF for_good THEN
        PERFORM end_run(publication.run_id, 'failed', 'failed', p_failure);
    ELSE
        PERFORM try_again(publication.run_id, 'failed', p_failure);
    END IF;
    RETURN 'failed';
END $$;

-- Lines of the push at the log's end, once the worker has written its own.
CREATE FUNCTION slipway.append_publication_log(p_publication uuid, p_epoch bigint, p_token text, p_bytes bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication slipway.publications;
BEGIN
    publication := held_publication(p_publication, p_epoch, p_token);
    IF publication.status = 'sealed' THEN
        INSERT INTO log_chunks (run_id, attempt, start, bytes)
        VALUES (publication.run_id, publication.attempt, log_end(publication.run_id, publication.attempt), p_bytes);
    END IF;
END $$;

GRANT EXECUTE ON FUNCTION slipway.lease_publication, slipway.renew_publication, slipway.publication_work, slipway.blob_state,
    slipway.begin_manifest, slipway.published, slipway.publication_failed, slipway.append_publication_log TO slipway_publisher;
