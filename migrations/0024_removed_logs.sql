-- A log that was removed for its age or size is told from one that nothing was written to.
ALTER TABLE slipway.runs ADD COLUMN log_removed_at timestamptz;

-- As before; and the run says since when its log is not whole.
CREATE OR REPLACE FUNCTION slipway.forget_logs(p_until timestamptz, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM slipway.log_chunks c USING (
            SELECT l.run_id, l.attempt, l.start FROM slipway.runs r
                CROSS JOIN LATERAL (SELECT l.run_id, l.attempt, l.start FROM slipway.log_chunks l WHERE l.run_id = r.id LIMIT p_limit) l
            WHERE r.finished_at <= p_until LIMIT p_limit) old
        WHERE c.run_id = old.run_id AND c.attempt = old.attempt AND c.start = old.start RETURNING c.run_id),
    told AS (
        UPDATE slipway.runs SET log_removed_at = now()
        WHERE id IN (SELECT run_id FROM gone) AND log_removed_at IS NULL)
    SELECT count(*) FROM gone;
END;
