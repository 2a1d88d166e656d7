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

-- How many things need a credential: tasks, webhooks, the sign-in, runs that have not ended, reports that wait.
CREATE FUNCTION slipway.users_of_credential(p_registry text, p_name text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = slipway, pg_temp
BEGIN ATOMIC
    SELECT (SELECT count(*) FROM slipway.tasks t WHERE t.registry = p_registry AND (t.spec -> 'build' ->> 'source_credential' = p_name
            OR EXISTS (SELECT FROM jsonb_each_text(coalesce(t.spec -> 'build' -> 'secrets', '{}')) s WHERE s.value = p_name)
            OR EXISTS (SELECT FROM jsonb_array_elements(t.spec -> 'notify') n WHERE n ->> 'credential' = p_name)))
        + (SELECT count(*) FROM slipway.registries g WHERE g.name = p_registry AND (g.sign_in ->> 'credential' = p_name
            OR EXISTS (SELECT FROM jsonb_array_elements(g.notify) n WHERE n ->> 'credential' = p_name)))
        + (SELECT count(*) FROM slipway.run_queue q JOIN slipway.runs r ON r.id = q.run_id
            WHERE q.registry = p_registry AND (r.spec ->> 'source_credential' = p_name
                OR EXISTS (SELECT FROM jsonb_each_text(coalesce(r.spec -> 'secrets', '{}')) s WHERE s.value = p_name)
                OR EXISTS (SELECT FROM jsonb_array_elements(r.notify) n WHERE n ->> 'credential' = p_name)))
        + (SELECT count(*) FROM slipway.outbox o JOIN slipway.runs r ON r.id = o.run_id
            WHERE o.status = 'waiting' AND o.registry = p_registry AND (o.target ->> 'credential' = p_name
                OR o.kind = 'commit_status' AND r.spec ->> 'source_credential' = p_name));
END;
GRANT EXECUTE ON FUNCTION slipway.users_of_credential TO slipway_server;

-- Where a run was pushed to, whatever becomes of its registry's address. Written with each lease, whose holder pushes
-- to the address that the registry had then.
ALTER TABLE slipway.publications ADD COLUMN address text;
CREATE FUNCTION slipway.keep_address() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    NEW.address := (SELECT g.address FROM runs r JOIN registries g ON g.name = r.registry WHERE r.id = NEW.run_id);
    RETURN NEW;
END $$;
CREATE TRIGGER keep_address BEFORE UPDATE OF epoch ON slipway.publications FOR EACH ROW EXECUTE FUNCTION slipway.keep_address();

-- Where a report goes: so many at once to one host, that one that does not answer holds up no other.
ALTER TABLE slipway.outbox ADD COLUMN host text NOT NULL DEFAULT '';
-- Whoever writes one down. A commit's status that there is no credential for is nobody's: a public repository is
-- built without any, and nothing has failed when its host is not told.
CREATE FUNCTION slipway.address_report() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    spec jsonb;
    address text := NEW.target ->> 'url';
BEGIN
    IF NEW.kind = 'commit_status' THEN
        SELECT r.spec INTO spec FROM runs r WHERE r.id = NEW.run_id;
        IF spec ->> 'source_credential' IS NULL THEN
            RETURN NULL;
        END IF;
        address := spec -> 'source' ->> 'url';
    END IF;
    -- scheme://[user@]host[:port]/… or user@host:path
    NEW.host := lower(coalesce(substring(address FROM '^[a-zA-Z]+://(?:[^/@]*@)?([^/?#]+)'),
        substring(address FROM '^[^/@]+@([^:/]+):'), ''));
    RETURN NEW;
END $$;
CREATE TRIGGER address BEFORE INSERT ON slipway.outbox FOR EACH ROW EXECUTE FUNCTION slipway.address_report();

-- Whose runs may build it: an id alone, which logs and answers hold, lets nobody of another registry at a source.
-- Those that are there are of today, and can be uploaded again.
DELETE FROM slipway.sources s WHERE NOT EXISTS (
    SELECT FROM slipway.run_queue q JOIN slipway.runs r ON r.id = q.run_id WHERE r.spec -> 'source' ->> 'id' = s.id::text);
ALTER TABLE slipway.sources ADD COLUMN registry text REFERENCES slipway.registries ON DELETE CASCADE;
