-- What strangers and cells may not have: a tag of somebody trusted, a secret that their run does not name, a commit that
-- is not theirs.

-- Who wants a tag of a task: a row for each run that came to its manifest. The tag belongs to the first by trust, then
-- by number, so that a stranger's run never outranks one that is trusted, whichever comes later.
ALTER TABLE slipway.tag_owners RENAME TO tag_claims;
ALTER TABLE slipway.tag_claims
    DROP CONSTRAINT tag_owners_pkey,
    ADD PRIMARY KEY (task_id, repository, tag, run_id),
    ADD COLUMN trust text NOT NULL DEFAULT 'trusted' CHECK (trust IN ('trusted', 'untrusted')),
    ADD COLUMN is_settled boolean NOT NULL DEFAULT true;    -- the run has pushed the tag; until then it may fail
UPDATE slipway.tag_claims c SET trust = r.trust FROM slipway.runs r WHERE r.id = c.run_id;
ALTER TABLE slipway.tag_claims ALTER COLUMN trust DROP DEFAULT, ALTER COLUMN is_settled SET DEFAULT false;

-- As before, but that the claims decide. Claims of a task are made one after the other: each sees those before it.
-- Where a claim that comes first is not settled, the publication waits: without a lease, so that it takes no place at
-- a publisher, and still to be cancelled. Nobody waits for one that comes after, so they never wait for each other.
DROP FUNCTION slipway.begin_manifest;
CREATE FUNCTION slipway.begin_manifest(p_publication uuid, p_epoch bigint, p_token text)
RETURNS TABLE (repository text, tag text, superseded_by uuid, is_settled boolean)
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
    IF run.task_id IS NOT NULL THEN
        PERFORM FROM tasks t WHERE t.id = run.task_id FOR NO KEY UPDATE;
        INSERT INTO tag_claims (task_id, repository, tag, run_id, number, trust)
        SELECT run.task_id, i.repository, i.tag, run.id, run.number, run.trust FROM publication_images i
        WHERE i.publication_id = p_publication
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN QUERY SELECT i.repository, i.tag, nullif(o.run_id, run.id), o.run_id IS NULL OR o.run_id = run.id OR o.is_settled
        FROM publication_images i LEFT JOIN LATERAL (
            SELECT c.run_id, c.is_settled FROM tag_claims c
            WHERE c.task_id = run.task_id AND c.repository = i.repository AND c.tag = i.tag
            ORDER BY c.trust = 'trusted' DESC, c.number DESC LIMIT 1) o ON true
        WHERE i.publication_id = p_publication ORDER BY i.repository, i.tag;
    IF EXISTS (SELECT FROM publication_images i JOIN tag_claims c
            ON c.task_id = run.task_id AND c.repository = i.repository AND c.tag = i.tag
        WHERE i.publication_id = p_publication AND NOT c.is_settled
            AND (c.trust = 'trusted', c.number) > (run.trust = 'trusted', run.number)) THEN
        UPDATE publications SET next_try_at = now() + interval '2 seconds', leased_by = NULL, lease_token_hash = NULL,
            lease_expires_at = NULL WHERE id = p_publication;
        RETURN;
    END IF;
    UPDATE publications SET manifest_put_epoch = p_epoch WHERE id = p_publication;
    UPDATE publication_images i SET superseded_by = nullif((
        SELECT c.run_id FROM tag_claims c
        WHERE c.task_id = run.task_id AND c.repository = i.repository AND c.tag = i.tag
        ORDER BY c.trust = 'trusted' DESC, c.number DESC LIMIT 1), run.id)
    WHERE i.publication_id = p_publication;
END $$;

-- What is pushed settles its claims, and those that it outranks are of no use any more. What ends otherwise gives its
-- claims back: the tag belongs again to who had it before.
CREATE FUNCTION slipway.settle_claims() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    IF NEW.status <> 'published' THEN
        DELETE FROM tag_claims c USING runs r, publication_images i
        WHERE r.id = NEW.run_id AND i.publication_id = NEW.id AND c.task_id = r.task_id AND c.repository = i.repository
            AND c.tag = i.tag AND c.run_id = r.id;
        RETURN NULL;
    END IF;
    PERFORM FROM tasks t JOIN runs r ON r.task_id = t.id WHERE r.id = NEW.run_id FOR NO KEY UPDATE OF t;
    UPDATE tag_claims c SET is_settled = true FROM runs r, publication_images i
    WHERE r.id = NEW.run_id AND i.publication_id = NEW.id AND c.task_id = r.task_id AND c.repository = i.repository
        AND c.tag = i.tag AND c.run_id = r.id;
    DELETE FROM tag_claims c USING runs r, publication_images i
    WHERE r.id = NEW.run_id AND i.publication_id = NEW.id AND c.task_id = r.task_id AND c.repository = i.repository AND c.tag = i.tag
        AND CASE WHEN i.superseded_by IS NULL THEN (c.trust = 'trusted', c.number) < (r.trust = 'trusted', r.number)
            ELSE c.run_id = r.id END;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION slipway.begin_manifest, slipway.settle_claims FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.begin_manifest TO slipway_publisher;
CREATE TRIGGER settle_claims AFTER UPDATE OF status ON slipway.publications FOR EACH ROW
    WHEN (NEW.status IN ('published', 'failed', 'abandoned')) EXECUTE FUNCTION slipway.settle_claims();

-- What a publisher may do with its own identity depends on whose build it pushes.
CREATE FUNCTION slipway.publication_trust(p_publication uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT r.trust FROM slipway.publications p JOIN slipway.runs r ON r.id = p.run_id WHERE p.id = p_publication;
END;
REVOKE ALL ON FUNCTION slipway.publication_trust FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.publication_trust TO slipway_publisher;

-- Secrets are given out under a lease, and only those that its run or its registry's sign-in names. Before, the
-- publisher's role could read every one of every registry.
CREATE FUNCTION slipway.run_credential(p_run uuid, p_epoch bigint, p_token text, p_name text)
RETURNS TABLE (kind text, username text, known_hosts text, sealed bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    RETURN QUERY SELECT c.kind, c.username, c.known_hosts, c.sealed
        FROM runs r JOIN registries g ON g.name = r.registry JOIN credentials c ON c.registry = r.registry AND c.name = p_name
        WHERE r.id = p_run AND (g.sign_in ->> 'credential' = p_name OR r.spec ->> 'source_credential' = p_name
            OR r.trust = 'trusted' AND EXISTS (
                SELECT FROM jsonb_each_text(coalesce(r.spec -> 'secrets', '{}')) s WHERE s.value = p_name));
END $$;

CREATE FUNCTION slipway.publication_credential(p_publication uuid, p_epoch bigint, p_token text, p_name text)
RETURNS TABLE (kind text, username text, known_hosts text, sealed bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication slipway.publications;
BEGIN
    publication := held_publication(p_publication, p_epoch, p_token);
    RETURN QUERY SELECT c.kind, c.username, c.known_hosts, c.sealed
        FROM runs r JOIN registries g ON g.name = r.registry JOIN credentials c ON c.registry = r.registry AND c.name = p_name
        WHERE r.id = publication.run_id AND g.sign_in ->> 'credential' = p_name;
END $$;

REVOKE ALL ON FUNCTION slipway.run_credential, slipway.publication_credential FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.run_credential, slipway.publication_credential TO slipway_publisher;
REVOKE EXECUTE ON FUNCTION slipway.sealed_credential FROM slipway_publisher;

-- A cell says which commit it found, and names of images may hold it: once an attempt, and never another one than
-- was asked for. A next attempt may find that the branch has moved on, so the names are kept as they were.
ALTER TABLE slipway.runs
    ADD COLUMN unfilled       jsonb,                    -- images before the commit was known
    ADD COLUMN found_attempt  integer;                  -- the attempt that said which commit it is
CREATE OR REPLACE FUNCTION slipway.source_found(p_run uuid, p_epoch bigint, p_token text, p_revision jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    run slipway.runs;
    found_commit text := p_revision ->> 'commit';
    asked_for text;
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    IF found_commit IS NULL OR found_commit !~ '^[0-9a-f]{40}([0-9a-f]{24})?$' THEN
        RAISE EXCEPTION 'run % has no such commit', p_run USING ERRCODE = 'SW002';
    END IF;
    SELECT * INTO run FROM runs WHERE id = p_run FOR UPDATE;
    -- Of an annotated tag a host may tell the tag's own id; its commit is another.
    asked_for := CASE WHEN run.cause ->> 'ref' LIKE 'refs/tags/%' THEN NULL ELSE run.cause ->> 'commit' END;
    IF run.found_attempt = run.attempt AND run.revision ->> 'commit' <> found_commit THEN
        RAISE EXCEPTION 'run % has found another commit before', p_run USING ERRCODE = 'SW002';
    ELSIF asked_for <> found_commit THEN
        RAISE EXCEPTION 'run % is for another commit', p_run USING ERRCODE = 'SW002';
    END IF;
    UPDATE runs SET revision = p_revision, found_attempt = attempt, unfilled = coalesce(unfilled, images),
        images = replace(coalesce(unfilled, images)::text, '{{.Run.Commit}}', found_commit)::jsonb
    WHERE id = p_run;
END $$;

-- As before, and never under a name that is not whole: what a cell announces before it has said its commit waits for
-- nothing.
CREATE OR REPLACE FUNCTION slipway.publication_of(p_run uuid) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    publication uuid;
BEGIN
    SELECT p.id INTO publication FROM publications p JOIN runs r ON r.id = p.run_id AND r.attempt = p.attempt WHERE r.id = p_run;
    IF FOUND THEN
        RETURN publication;
    END IF;
    IF EXISTS (SELECT FROM image_names(p_run) AS name WHERE strpos(name, '{{') > 0) THEN
        RAISE EXCEPTION 'run % has not said its commit', p_run USING ERRCODE = 'SW002';
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
