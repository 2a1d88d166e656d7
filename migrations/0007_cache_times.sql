-- When a step was made, not when it was remembered: an image out of the cache alone is the image of last time.
ALTER TABLE slipway.cache_entries
    ADD COLUMN made_at bigint NOT NULL DEFAULT 0;       -- seconds since 1970

DROP FUNCTION slipway.cache_lookup;
CREATE FUNCTION slipway.cache_lookup(p_run uuid, p_epoch bigint, p_token text, p_keys text[])
RETURNS TABLE (key text, layer jsonb, description text, made_at bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    RETURN QUERY SELECT c.key, c.layer, c.description, c.made_at
        FROM runs r JOIN attempts a ON a.run_id = r.id AND a.attempt = r.attempt
        JOIN cache_entries c ON c.scope = r.scope AND c.store = a.store AND c.key = ANY (p_keys)
        WHERE r.id = p_run;
END $$;

DROP FUNCTION slipway.cache_record;
CREATE FUNCTION slipway.cache_record(p_run uuid, p_epoch bigint, p_token text, p_keys text[], p_layer jsonb, p_description text, p_made_at bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    INSERT INTO cache_entries AS c (scope, store, key, layer, description, made_at)
    SELECT r.scope, a.store, k, p_layer, p_description, p_made_at
    FROM runs r JOIN attempts a ON a.run_id = r.id AND a.attempt = r.attempt, (SELECT DISTINCT unnest(p_keys)) AS keys(k)
    WHERE r.id = p_run ORDER BY k
    ON CONFLICT (scope, store, key) DO UPDATE SET layer = EXCLUDED.layer, description = EXCLUDED.description,
        made_at = EXCLUDED.made_at, created_at = now();
END $$;

REVOKE ALL ON FUNCTION slipway.cache_lookup, slipway.cache_record FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.cache_lookup, slipway.cache_record TO slipway_worker;
