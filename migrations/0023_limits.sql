-- Whether a worker's runs have limits, as it says itself: `enforced`, by a cgroup; `none`, for its host gave it no
-- cgroup; `missing`, likewise, and it asked for them: it leases nothing. One of the version before says nothing.
ALTER TABLE slipway.workers ADD COLUMN limits text NOT NULL DEFAULT 'none' CHECK (limits IN ('enforced', 'none', 'missing'));

-- Beside the one without, which a worker of the version before still calls.
CREATE FUNCTION slipway.register_worker(p_id uuid, p_store uuid, p_name text, p_platform text, p_slots integer, p_limits text)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    INSERT INTO slipway.workers (id, store, name, platform, slots, limits)
    VALUES (p_id, p_store, p_name, p_platform, p_slots, p_limits)
    ON CONFLICT (id) DO UPDATE SET seen_at = now();
END;
REVOKE ALL ON FUNCTION slipway.register_worker(uuid, uuid, text, text, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.register_worker(uuid, uuid, text, text, integer, text) TO slipway_worker;

-- A worker that stops gives a run back: it is queued at once, without the pause after a failure, and the attempt does
-- not count: one more is allowed. Ten attempts are the most all the same, so that no run is handed on for ever.
CREATE FUNCTION slipway.hand_back(p_run uuid, p_epoch bigint, p_token text, p_failure jsonb)
RETURNS slipway.run_status LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    became slipway.run_status;
BEGIN
    PERFORM held(p_run, p_epoch, p_token);
    UPDATE runs SET max_attempts = least(max_attempts + 1, 10) WHERE id = p_run;
    became := try_again(p_run, 'failed', p_failure);
    UPDATE run_queue SET not_before = now() WHERE run_id = p_run;
    RETURN became;
END $$;
REVOKE ALL ON FUNCTION slipway.hand_back FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.hand_back TO slipway_worker;
