-- Tables. `run_queue` is the small hot table with one row per unfinished run; `runs` is the history.
-- Roles belong to the cluster and are made by `slipway migrate --roles`; migrations only GRANT. The schema
-- `slipway` is there already: it holds the list of migrations as well.

REVOKE ALL ON SCHEMA slipway FROM PUBLIC;
GRANT USAGE ON SCHEMA slipway TO slipway_server, slipway_worker, slipway_publisher;
-- Not `IN SCHEMA`: that could only add to what PUBLIC has by default.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TYPE slipway.run_status AS ENUM
    ('queued', 'started', 'publishing', 'succeeded', 'failed', 'cancelled', 'timed_out');
CREATE TYPE slipway.publication_status AS ENUM ('open', 'sealed', 'published', 'failed', 'abandoned');

CREATE TABLE slipway.registries (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),  -- as in /v1/registries/{name}
    address     text NOT NULL CHECK (address <> ''),                          -- host[:port]
    plain_http  boolean NOT NULL,                                             -- http instead of https
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE slipway.runs (
    id            uuid PRIMARY KEY,                     -- version 7: sorts by time of creation
    registry      text NOT NULL REFERENCES slipway.registries,
    spec          jsonb NOT NULL,                       -- what was asked for; never changed
    scope         text NOT NULL DEFAULT 'trusted',      -- trust scope, set here and not by a worker
    status        slipway.run_status NOT NULL DEFAULT 'queued',
    attempt       integer NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    max_attempts  integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
    cancel_requested_at timestamptz,                    -- first request
    created_at    timestamptz NOT NULL DEFAULT now(),
    started_at    timestamptz,                          -- of the present attempt
    finished_at   timestamptz,
    revision      jsonb,                                -- the commit that was built
    digest        text,                                 -- of the manifest: read back from the registry, or built
    failure       jsonb,                                -- model::Failure
    CONSTRAINT an_end_has_a_time CHECK
        ((status IN ('succeeded', 'failed', 'cancelled', 'timed_out')) = (finished_at IS NOT NULL)),
    CONSTRAINT work_has_a_start CHECK
        (status NOT IN ('started', 'publishing', 'succeeded', 'timed_out') OR started_at IS NOT NULL),
    CONSTRAINT a_failure_has_a_reason CHECK (status NOT IN ('failed', 'timed_out') OR failure IS NOT NULL)
);
CREATE INDEX runs_of_registry ON slipway.runs (registry, id DESC);
CREATE INDEX runs_of_status ON slipway.runs (registry, status, id DESC);

CREATE TABLE slipway.run_queue (
    run_id            uuid PRIMARY KEY REFERENCES slipway.runs ON DELETE CASCADE,
    registry          text NOT NULL,                    -- fair between these
    status            slipway.run_status NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'started', 'publishing')),
    platform          text NOT NULL,                    -- os/architecture[/variant]
    priority          integer NOT NULL DEFAULT 0,       -- higher first, within a registry
    timeout_seconds   integer NOT NULL CHECK (timeout_seconds > 0),
    queued_at         timestamptz NOT NULL DEFAULT now(),
    not_before        timestamptz NOT NULL DEFAULT now(),  -- a pause before the next attempt
    epoch             bigint NOT NULL DEFAULT 0,        -- counts leases
    lease_token_hash  bytea,                            -- sha256 of the secret that the holder has
    leased_by         uuid,
    lease_expires_at  timestamptz,
    deadline          timestamptz,                      -- when the attempt's time is over
    cancel_requested  boolean NOT NULL DEFAULT false,
    progress          jsonb,
    CONSTRAINT a_lease_is_whole CHECK ((status = 'started') =
        (lease_token_hash IS NOT NULL AND leased_by IS NOT NULL AND lease_expires_at IS NOT NULL AND deadline IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);
CREATE INDEX run_queue_waiting ON slipway.run_queue (registry, priority DESC, queued_at, run_id) WHERE status = 'queued';
CREATE INDEX run_queue_at_work ON slipway.run_queue (registry) WHERE status = 'started';

CREATE TABLE slipway.workers (
    id             uuid PRIMARY KEY,                    -- one process, from its start to its end
    store          uuid NOT NULL,                       -- its content store
    name           text NOT NULL,
    platform       text NOT NULL,
    slots          integer NOT NULL CHECK (slots > 0),
    registered_at  timestamptz NOT NULL DEFAULT now(),
    seen_at        timestamptz NOT NULL DEFAULT now()   -- last heartbeat
);

CREATE TABLE slipway.attempts (
    run_id       uuid NOT NULL REFERENCES slipway.runs ON DELETE CASCADE,
    attempt      integer NOT NULL,
    worker       uuid NOT NULL,
    store        uuid NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    outcome      text CHECK (outcome IN ('succeeded', 'failed', 'cancelled', 'timed_out', 'lost')),
    failure      jsonb,                                 -- also of an attempt that was followed by another
    PRIMARY KEY (run_id, attempt)
);

CREATE TABLE slipway.step_runs (
    run_id       uuid NOT NULL,
    attempt      integer NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('build', 'push')),
    status       text NOT NULL CHECK (status IN ('started', 'succeeded', 'failed', 'cancelled', 'timed_out')),
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    PRIMARY KEY (run_id, attempt, kind),
    FOREIGN KEY (run_id, attempt) REFERENCES slipway.attempts ON DELETE CASCADE,
    CHECK ((status = 'started') = (finished_at IS NULL))
);

CREATE TABLE slipway.log_chunks (
    run_id      uuid NOT NULL REFERENCES slipway.runs ON DELETE CASCADE,
    attempt     integer NOT NULL,
    start       bigint NOT NULL CHECK (start >= 0),     -- byte offset within the attempt's log
    bytes       bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, attempt, start)
);

CREATE TABLE slipway.publications (
    id                   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id               uuid NOT NULL REFERENCES slipway.runs ON DELETE CASCADE,
    attempt              integer NOT NULL,
    kind                 text NOT NULL DEFAULT 'image' CHECK (kind IN ('image')),
    store                uuid NOT NULL,                 -- only a publisher beside it can work on this
    status               slipway.publication_status NOT NULL DEFAULT 'open',
    manifest             jsonb,                         -- descriptor, once the build is done
    epoch                bigint NOT NULL DEFAULT 0,
    lease_token_hash     bytea,
    leased_by            uuid,
    lease_expires_at     timestamptz,
    tries                integer NOT NULL DEFAULT 0,    -- failures of the service so far
    next_try_at          timestamptz NOT NULL DEFAULT now(),
    manifest_put_epoch   bigint,                        -- set before the manifest PUT: cancel comes too late
    failure              jsonb,
    created_at           timestamptz NOT NULL DEFAULT now(),
    finished_at          timestamptz,
    UNIQUE (run_id, attempt),
    CHECK ((status IN ('published', 'failed', 'abandoned')) = (finished_at IS NOT NULL)),
    CHECK (status NOT IN ('sealed', 'published') OR manifest IS NOT NULL)
);
CREATE INDEX publications_to_do ON slipway.publications (store, created_at) WHERE status IN ('open', 'sealed');

CREATE TABLE slipway.publication_images (
    publication_id  uuid NOT NULL REFERENCES slipway.publications ON DELETE CASCADE,
    repository      text NOT NULL,
    tag             text NOT NULL,
    PRIMARY KEY (publication_id, repository, tag)
);

CREATE TABLE slipway.publication_blobs (
    publication_id  uuid NOT NULL REFERENCES slipway.publications ON DELETE CASCADE,
    digest          text NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    size            bigint NOT NULL CHECK (size >= 0),
    media_type      text NOT NULL,
    scope           text,                               -- where the store has it; null: it does not
    source          text,                               -- host/repository that has it; null: none
    state           text NOT NULL DEFAULT 'announced' CHECK (state IN ('announced', 'uploading', 'pushed', 'verified')),
    PRIMARY KEY (publication_id, digest),
    CHECK (scope IS NOT NULL OR source IS NOT NULL)
);

CREATE TABLE slipway.sources (
    id          uuid PRIMARY KEY,
    created_at  timestamptz NOT NULL DEFAULT now(),
    sealed_at   timestamptz,                            -- complete from then on
    size        bigint,
    digest      text
);
CREATE TABLE slipway.source_chunks (
    source_id  uuid NOT NULL REFERENCES slipway.sources ON DELETE CASCADE,
    sequence   integer NOT NULL CHECK (sequence >= 0),
    bytes      bytea NOT NULL,
    PRIMARY KEY (source_id, sequence)
);

CREATE TABLE slipway.cache_entries (
    scope        text NOT NULL,
    store        uuid NOT NULL,
    key          text NOT NULL CHECK (key ~ '^[0-9a-f]{64}$'),
    layer        jsonb,                                 -- {diff_id, blob: descriptor}; null: the step changed nothing
    description  text NOT NULL,                         -- what made it, for people
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, store, key)
);

CREATE TABLE slipway.idempotency_keys (
    registry      text NOT NULL,
    key           text NOT NULL,
    request_hash  bytea NOT NULL,                       -- sha256 of the body
    run_id        uuid NOT NULL REFERENCES slipway.runs ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (registry, key)
);

-- When the rescuer last worked: after a time without the database it first gives every holder one
-- lease length to renew.
CREATE TABLE slipway.rescuer (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    worked_at   timestamptz NOT NULL DEFAULT now(),
    resumed_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO slipway.rescuer DEFAULT VALUES;

-- The table of moves; `model::RunStatus::can_move_to` is the same one.
CREATE FUNCTION slipway.check_move() RETURNS trigger LANGUAGE plpgsql SET search_path = slipway, pg_temp AS $$
BEGIN
    IF NEW.status = OLD.status AND NEW.attempt = OLD.attempt THEN
        RETURN NEW;
    END IF;
    IF NEW.attempt = OLD.attempt AND (OLD.status, NEW.status) IN (
        ('queued', 'started'), ('queued', 'cancelled'), ('queued', 'failed'),
        ('started', 'publishing'), ('started', 'failed'), ('started', 'cancelled'), ('started', 'timed_out'),
        ('publishing', 'succeeded'), ('publishing', 'failed'), ('publishing', 'cancelled'), ('publishing', 'timed_out'))
    THEN
        RETURN NEW;
    END IF;
    IF NEW.attempt = OLD.attempt + 1 AND NEW.attempt <= NEW.max_attempts
        AND (OLD.status, NEW.status) IN (('started', 'queued'), ('publishing', 'queued')) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a run does not move from % (attempt %) to % (attempt %)', OLD.status, OLD.attempt, NEW.status, NEW.attempt
        USING ERRCODE = 'SW002';
END $$;
CREATE TRIGGER moves BEFORE UPDATE OF status, attempt ON slipway.runs FOR EACH ROW EXECUTE FUNCTION slipway.check_move();

-- A hint for whoever waits; polling alone is sufficient. Never per log chunk or heartbeat.
CREATE FUNCTION slipway.tell_run() RETURNS trigger LANGUAGE plpgsql SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM pg_notify('slipway', json_build_object('run', NEW.id, 'status', NEW.status)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OF status ON slipway.runs FOR EACH ROW EXECUTE FUNCTION slipway.tell_run();

CREATE FUNCTION slipway.tell_publication() RETURNS trigger LANGUAGE plpgsql SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM pg_notify('slipway', json_build_object('publication', NEW.id, 'status', NEW.status)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OF status ON slipway.publications
    FOR EACH ROW EXECUTE FUNCTION slipway.tell_publication();

-- The server reads everything and writes what REST gives it; every other move is a function's.
GRANT SELECT ON ALL TABLES IN SCHEMA slipway TO slipway_server;
GRANT INSERT ON slipway.runs, slipway.run_queue, slipway.sources, slipway.source_chunks, slipway.idempotency_keys,
    slipway.registries TO slipway_server;
GRANT UPDATE ON slipway.sources, slipway.registries TO slipway_server;
GRANT DELETE ON slipway.idempotency_keys, slipway.sources, slipway.source_chunks TO slipway_server;
