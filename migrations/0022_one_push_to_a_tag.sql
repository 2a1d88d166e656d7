-- As before, but that nobody begins to push a tag of a task while another run's push of it is under way, whichever of
-- the two comes first. A registry takes what it is sent in the order in which it arrives: an older run whose PUT was
-- answered with 429, or took its time, put its image over a newer one's that was there already. Who comes first still
-- waits for nobody whose lease is over: that one asks here again before it pushes, and stops by itself.
CREATE OR REPLACE FUNCTION slipway.begin_manifest(p_publication uuid, p_epoch bigint, p_token text)
RETURNS TABLE (repository text, tag text, superseded_by uuid, is_settled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
#variable_conflict use_column
DECLARE
    publication slipway.publications;
    run slipway.runs;
    outranked boolean;
    under_way boolean;
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
    outranked := EXISTS (SELECT FROM publication_images i JOIN tag_claims c
            ON c.task_id = run.task_id AND c.repository = i.repository AND c.tag = i.tag
        WHERE i.publication_id = p_publication AND NOT c.is_settled
            AND (c.trust = 'trusted', c.number) > (run.trust = 'trusted', run.number));
    -- The push that was begun under the lease that its publication has now.
    under_way := EXISTS (SELECT FROM publication_images i JOIN tag_claims c
            ON c.task_id = run.task_id AND c.repository = i.repository AND c.tag = i.tag
        JOIN publications p ON p.run_id = c.run_id
        WHERE i.publication_id = p_publication AND c.run_id <> run.id AND NOT c.is_settled
            AND p.status = 'sealed' AND p.manifest_put_epoch = p.epoch AND p.lease_expires_at > now());
    RETURN QUERY SELECT i.repository, i.tag, nullif(o.run_id, run.id),
            NOT under_way AND (o.run_id IS NULL OR o.run_id = run.id OR o.is_settled)
        FROM publication_images i LEFT JOIN LATERAL (
            SELECT c.run_id, c.is_settled FROM tag_claims c
            WHERE c.task_id = run.task_id AND c.repository = i.repository AND c.tag = i.tag
            ORDER BY c.trust = 'trusted' DESC, c.number DESC LIMIT 1) o ON true
        WHERE i.publication_id = p_publication ORDER BY i.repository, i.tag;
    IF outranked OR under_way THEN
        -- A push that is under way takes a moment, and its end rings.
        UPDATE publications SET next_try_at = now() + CASE WHEN under_way THEN interval '200 milliseconds' ELSE interval '2 seconds' END,
            leased_by = NULL, lease_token_hash = NULL, lease_expires_at = NULL WHERE id = p_publication;
        RETURN;
    END IF;
    UPDATE publications SET manifest_put_epoch = p_epoch WHERE id = p_publication;
    UPDATE publication_images i SET superseded_by = nullif((
        SELECT c.run_id FROM tag_claims c
        WHERE c.task_id = run.task_id AND c.repository = i.repository AND c.tag = i.tag
        ORDER BY c.trust = 'trusted' DESC, c.number DESC LIMIT 1), run.id)
    WHERE i.publication_id = p_publication;
END $$;
