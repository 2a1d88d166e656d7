-- Lists of a registry's runs by task, and of its deliveries by status: without these, a page of a task with few
-- runs reads the registry's whole history. The first is also one of the indexes for lists of runs.
CREATE INDEX IF NOT EXISTS runs_of_task_name ON slipway.runs (registry, task, id DESC) WHERE task IS NOT NULL;
CREATE INDEX deliveries_of_status ON slipway.deliveries (registry, status, id DESC);

-- What was delivered and told is kept for a month, a hook's secret before the present one for as long as it is good.
CREATE INDEX deliveries_by_age ON slipway.deliveries (received_at) WHERE status <> 'received';
CREATE INDEX outbox_by_age ON slipway.outbox (finished_at) WHERE status <> 'waiting';

-- Removes some of what is older; answers whether there may be more. In parts, for a body has up to 25 MiB.
CREATE FUNCTION slipway.forget_old(p_limit integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    gone integer;
    more boolean;
BEGIN
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE status <> 'received' AND received_at < now() - interval '30 days'
        ORDER BY received_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    more := gone = p_limit;
    DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox WHERE status <> 'waiting' AND finished_at < now() - interval '30 days'
        ORDER BY finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    more := more OR gone = p_limit;
    UPDATE hooks SET sealed_before = NULL, before_until = NULL WHERE before_until <= now();
    RETURN more;
END $$;
GRANT EXECUTE ON FUNCTION slipway.forget_old TO slipway_server;
