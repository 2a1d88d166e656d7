-- Seconds that a run waited until now: from when it was queued, or from the end of its pause before another
-- attempt. By the database's clock; asked for in the statement that leases it.
CREATE FUNCTION slipway.queue_wait(p_run uuid) RETURNS double precision
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT greatest(0, extract(epoch FROM now() - greatest(q.queued_at, q.not_before)))::double precision
    FROM slipway.run_queue q WHERE q.run_id = p_run;
END;
REVOKE ALL ON FUNCTION slipway.queue_wait FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slipway.queue_wait TO slipway_worker;
