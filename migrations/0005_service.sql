-- What surrounds the line: tokens, credentials, tasks, hooks, deliveries, reports.

-- `{"type": "anonymous" | "basic" | "managed_identity" | "workload_identity" | "service_principal", …}`;
-- a secret is the name of a credential of kind `registry`.
ALTER TABLE slipway.registries
    ADD COLUMN sign_in     jsonb NOT NULL DEFAULT '{"type": "anonymous"}',
    ADD COLUMN notify      jsonb NOT NULL DEFAULT '[]',  -- outgoing webhooks of every run here
    ADD COLUMN updated_at  timestamptz NOT NULL DEFAULT now();

CREATE TABLE slipway.tokens (
    id            uuid PRIMARY KEY,
    name          text NOT NULL CHECK (name <> ''),
    hash          bytea NOT NULL UNIQUE,                -- sha256 of the token's text
    shown         text NOT NULL,                        -- its first characters, to tell it by
    role          text NOT NULL CHECK (role IN ('reader', 'submitter', 'contributor', 'administrator')),
    registry      text REFERENCES slipway.registries ON DELETE CASCADE,  -- null: every one
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text,                                 -- name of the token that made it
    expires_at    timestamptz,
    last_used_at  timestamptz                           -- to the minute
);

CREATE TABLE slipway.credentials (
    registry     text NOT NULL REFERENCES slipway.registries ON DELETE CASCADE,
    name         text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    kind         text NOT NULL CHECK (kind IN ('git', 'registry', 'webhook', 'build')),
    username     text,                                  -- git, registry
    known_hosts  text,                                  -- git over ssh: lines of known_hosts(5)
    sealed       bytea NOT NULL,                        -- vault: credential/{registry}/{name}
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (registry, name)
);

CREATE TABLE slipway.tasks (
    id          uuid PRIMARY KEY,
    registry    text NOT NULL REFERENCES slipway.registries ON DELETE CASCADE,
    name        text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    spec        jsonb NOT NULL,                         -- model::TaskSpec
    repository  text,                                   -- where its source lies, as deliveries are matched by it
    version     integer NOT NULL DEFAULT 1,             -- of the spec, for If-Match
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (registry, name)
);
CREATE INDEX tasks_of_repository ON slipway.tasks (registry, repository);

ALTER TABLE slipway.runs
    ADD COLUMN number      bigint GENERATED ALWAYS AS IDENTITY,  -- in the order in which runs were asked for
    ADD COLUMN task_id     uuid REFERENCES slipway.tasks ON DELETE SET NULL,
    ADD COLUMN task        text,                        -- its name then
    ADD COLUMN cause       jsonb NOT NULL DEFAULT '{"type": "manual"}',  -- model::Cause: what started it
    ADD COLUMN cause_key   text,                        -- one run for each of these and a task
    ADD COLUMN trust       text NOT NULL DEFAULT 'trusted' CHECK (trust IN ('trusted', 'untrusted')),
    ADD COLUMN images      jsonb,                       -- names after templates, where they differ from the spec's
    ADD COLUMN notify      jsonb NOT NULL DEFAULT '[]'; -- outgoing webhooks, as they were when it was made
CREATE UNIQUE INDEX runs_once_a_cause ON slipway.runs (task_id, cause_key) WHERE cause_key IS NOT NULL;
CREATE INDEX runs_of_task ON slipway.runs (task_id, id DESC) WHERE task_id IS NOT NULL;

-- Trust follows from what started the run, and the scope from both; nobody else says either. A
-- submitter may only lower it.
CREATE FUNCTION slipway.set_trust() RETURNS trigger LANGUAGE plpgsql SET search_path = slipway, pg_temp AS $$
BEGIN
    IF NEW.cause ->> 'type' = 'pull_request' AND coalesce((NEW.cause ->> 'is_fork')::boolean, true) THEN
        NEW.trust := 'untrusted';
        NEW.scope := format('pr-%s-%s', coalesce(NEW.task_id, NEW.id), (NEW.cause ->> 'number')::bigint);
    ELSIF NEW.trust = 'untrusted' THEN
        NEW.scope := format('untrusted-%s', NEW.id);
    ELSE
        NEW.scope := format('trusted-%s', NEW.registry);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trust BEFORE INSERT ON slipway.runs FOR EACH ROW EXECUTE FUNCTION slipway.set_trust();

-- Which run of a task moved a tag last, or is about to.
CREATE TABLE slipway.tag_owners (
    task_id     uuid NOT NULL REFERENCES slipway.tasks ON DELETE CASCADE,
    repository  text NOT NULL,
    tag         text NOT NULL,
    run_id      uuid NOT NULL,
    number      bigint NOT NULL,
    PRIMARY KEY (task_id, repository, tag)
);
ALTER TABLE slipway.publication_images
    ADD COLUMN superseded_by uuid;                      -- the run whose source is newer: the tag was left alone

CREATE TABLE slipway.hooks (
    id             uuid PRIMARY KEY,                    -- random: its address can't be guessed
    registry       text NOT NULL REFERENCES slipway.registries ON DELETE CASCADE,
    name           text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    host           text NOT NULL CHECK (host IN ('github', 'gitea', 'gitlab', 'azure_devops', 'standard')),
    repositories   jsonb NOT NULL DEFAULT '[]',         -- whose events it may bring; any when empty
    sealed         bytea NOT NULL,                      -- vault: hook/{id}
    sealed_before  bytea,                               -- the secret before it, while rotating
    before_until   timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (registry, name)
);

CREATE TABLE slipway.deliveries (
    id            uuid PRIMARY KEY,
    registry      text NOT NULL,
    hook_id       uuid NOT NULL REFERENCES slipway.hooks ON DELETE CASCADE,
    sender_id     text NOT NULL,                        -- the sender's own id of it
    event         text NOT NULL,
    headers       jsonb NOT NULL,                       -- without those that hold a secret
    body          bytea NOT NULL,                       -- as it was signed
    received_at   timestamptz NOT NULL DEFAULT now(),
    status        text NOT NULL DEFAULT 'received' CHECK (status IN ('received', 'matched', 'ignored', 'failed')),
    summary       text NOT NULL DEFAULT '',             -- a sentence: what it was, what became of it
    decisions     jsonb NOT NULL DEFAULT '[]',          -- [{task, starts, reason, run}]
    tries         integer NOT NULL DEFAULT 0,
    next_try_at   timestamptz NOT NULL DEFAULT now(),
    worked_at     timestamptz,
    UNIQUE (hook_id, sender_id)
);
CREATE INDEX deliveries_of_registry ON slipway.deliveries (registry, id DESC);
CREATE INDEX deliveries_to_do ON slipway.deliveries (next_try_at) WHERE status = 'received';

CREATE TABLE slipway.outbox (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),  -- webhook-id: the receiver tells repeats by it
    run_id       uuid NOT NULL REFERENCES slipway.runs ON DELETE CASCADE,
    registry     text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('commit_status', 'webhook')),
    event        text NOT NULL,                         -- run.queued, run.started, run.finished
    target       jsonb NOT NULL,                        -- webhook: {url, credential}
    status       text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sent', 'given_up')),
    tries        integer NOT NULL DEFAULT 0,
    changes      integer NOT NULL DEFAULT 0,            -- of the run's state while it was being sent
    next_try_at  timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    last_error   text
);
CREATE INDEX outbox_to_do ON slipway.outbox (next_try_at) WHERE status = 'waiting';
CREATE INDEX outbox_of_run ON slipway.outbox (run_id);
-- A commit has one status of ours: a later state takes the place of an earlier one that is not sent yet.
CREATE UNIQUE INDEX outbox_one_status ON slipway.outbox (run_id) WHERE kind = 'commit_status';

CREATE FUNCTION slipway.tell_others() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
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
            changes = outbox.changes + 1, next_try_at = now(), finished_at = NULL;
    END IF;
    INSERT INTO outbox (run_id, registry, kind, event, target)
    SELECT NEW.id, NEW.registry, 'webhook', happened, jsonb_build_object('url', n -> 'url', 'credential', n -> 'credential')
    FROM jsonb_array_elements(NEW.notify) AS n
    WHERE coalesce(jsonb_array_length(n -> 'events'), 0) = 0 OR n -> 'events' ? happened;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_others AFTER INSERT OR UPDATE OF status ON slipway.runs FOR EACH ROW EXECUTE FUNCTION slipway.tell_others();

-- A repeated attempt is not a new beginning for those who wait: they are told again, which does no harm.

GRANT SELECT, INSERT, UPDATE, DELETE ON slipway.tokens, slipway.credentials, slipway.tasks, slipway.hooks, slipway.deliveries TO slipway_server;
GRANT SELECT, UPDATE ON slipway.outbox TO slipway_server;
GRANT SELECT ON slipway.tag_owners TO slipway_server;
GRANT DELETE ON slipway.registries TO slipway_server;
