-- The names that an image gets: the run's own where templates were filled in, else the spec's.
CREATE FUNCTION slipway.image_names(p_run uuid) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT jsonb_array_elements_text(coalesce(r.images, r.spec -> 'images')) FROM slipway.runs r WHERE r.id = p_run;
END;

CREATE OR REPLACE FUNCTION slipway.publication_of(p_run uuid) RETURNS uuid
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
    FROM image_names(p_run) AS name
    ON CONFLICT DO NOTHING;
    RETURN publication;
END $$;

-- The commit that the worker found, as soon as it knows: names of images may hold it.
CREATE FUNCTION slipway.source_found(p_run uuid, p_epoch bigint, p_token text, p_revision jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    found_commit text := p_revision ->> 'commit';
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    IF found_commit !~ '^[0-9a-f]{40}([0-9a-f]{24})?$' THEN
        RAISE EXCEPTION 'run % has no such commit', p_run USING ERRCODE = 'SW002';
    END IF;
    UPDATE runs SET revision = p_revision,
        images = replace(images::text, '{{.Run.Commit}}', found_commit)::jsonb
    WHERE id = p_run;
END $$;

-- What a publisher needs to know of a run before it answers its worker; the lease is the proof.
CREATE FUNCTION slipway.leased_run(p_run uuid, p_epoch bigint, p_token text)
RETURNS TABLE (registry text, address text, plain_http boolean, sign_in jsonb, spec jsonb, trust text, images jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    RETURN QUERY SELECT g.name, g.address, g.plain_http, g.sign_in, r.spec, r.trust,
        coalesce((SELECT jsonb_agg(name) FROM image_names(p_run) AS name), '[]'::jsonb)
    FROM runs r JOIN registries g ON g.name = r.registry WHERE r.id = p_run;
END $$;

CREATE FUNCTION slipway.sealed_credential(p_registry text, p_name text)
RETURNS TABLE (kind text, username text, known_hosts text, sealed bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT c.kind, c.username, c.known_hosts, c.sealed FROM slipway.credentials c
    WHERE c.registry = p_registry AND c.name = p_name;
END;

-- As before, and with how the registry is signed in to.
DROP FUNCTION slipway.lease_publication;
CREATE FUNCTION slipway.lease_publication(p_publisher uuid, p_store uuid)
RETURNS TABLE (publication_id uuid, run_id uuid, attempt integer, epoch bigint, token text, registry text, address text,
    plain_http boolean, sign_in jsonb, scope text, images jsonb)
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
    SELECT leased.id, leased.run_id, leased.attempt, leased.epoch, leased.token, g.name, g.address, g.plain_http, g.sign_in, r.scope,
        coalesce((SELECT jsonb_agg(jsonb_build_object('repository', i.repository, 'tag', i.tag) ORDER BY i.repository, i.tag)
            FROM slipway.publication_images i WHERE i.publication_id = leased.id), '[]'::jsonb)
    FROM leased JOIN slipway.runs r ON r.id = leased.run_id JOIN slipway.registries g ON g.name = r.registry;
END;

-- The point after which a cancel comes too late. Tags of a task belong to its newest run: those that a
-- later run has taken are answered with that run, and are left alone.
DROP FUNCTION slipway.begin_manifest;
CREATE FUNCTION slipway.begin_manifest(p_publication uuid, p_epoch bigint, p_token text)
RETURNS TABLE (repository text, tag text, superseded_by uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
#variable_conflict use_column
DECLARE
    publication slipway.publications;
    run slipway.runs;
BEGIN
    PERFORM lock_run_of(p_publication);
    publication := held_publication(p_publication, p_epoch, p_token);
    IF publication.status <> 'sealed' THEN
        RAISE EXCEPTION 'publication % has no manifest yet', p_publication USING ERRCODE = 'SW002';
    END IF;
    SELECT * INTO run FROM runs r WHERE r.id = publication.run_id;
    UPDATE publications SET manifest_put_epoch = p_epoch WHERE id = p_publication;
    IF run.task_id IS NOT NULL THEN
        INSERT INTO tag_owners AS o (task_id, repository, tag, run_id, number)
        SELECT run.task_id, i.repository, i.tag, run.id, run.number FROM publication_images i
        WHERE i.publication_id = p_publication ORDER BY i.repository, i.tag
        ON CONFLICT (task_id, repository, tag) DO UPDATE SET run_id = EXCLUDED.run_id, number = EXCLUDED.number
            WHERE o.number <= EXCLUDED.number;
        UPDATE publication_images i SET superseded_by = nullif(o.run_id, run.id) FROM tag_owners o
        WHERE i.publication_id = p_publication AND o.task_id = run.task_id AND o.repository = i.repository AND o.tag = i.tag;
    END IF;
    RETURN QUERY SELECT i.repository, i.tag, i.superseded_by FROM publication_images i
        WHERE i.publication_id = p_publication ORDER BY i.repository, i.tag;
END $$;

GRANT EXECUTE ON FUNCTION slipway.source_found TO slipway_worker;
GRANT EXECUTE ON FUNCTION slipway.leased_run, slipway.sealed_credential, slipway.lease_publication, slipway.begin_manifest TO slipway_publisher;
GRANT EXECUTE ON FUNCTION slipway.sealed_credential TO slipway_server;
