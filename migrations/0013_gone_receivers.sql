-- Receivers of webhooks that answered 410 Gone. Standard Webhooks: "disable the endpoint". Nothing more is sent to
-- such an address for its registry until the registry or a task names it anew.
CREATE TABLE slipway.gone_receivers (
    registry  text NOT NULL REFERENCES slipway.registries ON DELETE CASCADE,
    url       text NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (registry, url)
);
GRANT SELECT, INSERT, DELETE ON slipway.gone_receivers TO slipway_server;

-- When the run came to what is told. A commit's status is one row for all states, so that `created_at` says less.
ALTER TABLE slipway.outbox ADD COLUMN happened_at timestamptz NOT NULL DEFAULT now();

-- As before, except that who is gone is not told, and that it is written down when it happened.
CREATE OR REPLACE FUNCTION slipway.tell_others() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
DECLARE
    happened text := CASE NEW.status WHEN 'queued' THEN 'run.queued' WHEN 'started' THEN 'run.started'
        WHEN 'publishing' THEN NULL ELSE 'run.finished' END;
BEGIN
    IF happened IS NULL THEN
        RETURN NULL;
    END IF;
    IF NEW.cause ->> 'host' IN ('github', 'gitea', 'gitlab') AND NEW.cause ->> 'commit' IS NOT NULL THEN
        INSERT INTO outbox (run_id, registry, kind, event, target) VALUES (NEW.id, NEW.registry, 'commit_status', happened, '{}')
        ON CONFLICT (run_id) WHERE kind = 'commit_status' DO UPDATE SET event = EXCLUDED.event, status = 'waiting', tries = 0,
            changes = outbox.changes + 1, next_try_at = now(), happened_at = now(),
            finished_at = NULL;
    END IF;
    INSERT INTO outbox (run_id, registry, kind, event, target)
    SELECT NEW.id, NEW.registry, 'webhook', happened, jsonb_build_object('url', n -> 'url', 'credential', n -> 'credential')
    FROM jsonb_array_elements(NEW.notify) AS n
    WHERE (coalesce(jsonb_array_length(n -> 'events'), 0) = 0 OR n -> 'events' ? happened)
        AND NOT EXISTS (SELECT FROM gone_receivers g WHERE g.registry = NEW.registry AND g.url = n ->> 'url');
    RETURN NULL;
END $$;
