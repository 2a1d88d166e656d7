-- What lists of runs are asked for, and who hears that one moved.

ALTER TABLE slipway.runs
    ADD COLUMN cause_type  text GENERATED ALWAYS AS (cause ->> 'type') STORED,           -- manual, commit, pull_request
    -- The branch or tag that is built, as the cause names it, or else the source.
    ADD COLUMN branch      text GENERATED ALWAYS AS (regexp_replace(
        coalesce(cause ->> 'ref', cause ->> 'source_branch', spec -> 'source' ->> 'ref'), '^refs/(heads|tags)/', '')) STORED,
    -- Of the commit; before it was fetched, as the cause names it. "C": found by its beginning.
    ADD COLUMN commit      text COLLATE "C" GENERATED ALWAYS AS (coalesce(revision ->> 'commit', cause ->> 'commit')) STORED;
-- A filter that matches little must not read a registry's whole history.
CREATE INDEX runs_of_cause_type ON slipway.runs (registry, cause_type, id DESC);
CREATE INDEX runs_of_branch ON slipway.runs (registry, branch, id DESC) WHERE branch IS NOT NULL;
CREATE INDEX runs_of_commit ON slipway.runs (registry, commit) WHERE commit IS NOT NULL;
CREATE INDEX IF NOT EXISTS runs_of_task_name ON slipway.runs (registry, task, id DESC) WHERE task IS NOT NULL;

-- With the registry: who may not see it is not told, and nobody has to look it up for each reader.
CREATE OR REPLACE FUNCTION slipway.tell_run() RETURNS trigger LANGUAGE plpgsql SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM pg_notify('slipway', json_build_object('run', NEW.id, 'registry', NEW.registry, 'status', NEW.status)::text);
    RETURN NULL;
END $$;
