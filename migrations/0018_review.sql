-- What a reading with fresh eyes found: the order of pushes, changes that overwrite each other.

-- Pushes are ordered as their host tells it, by the commit that the ref pointed at before; deliveries come in any order.
ALTER TABLE slipway.deliveries
    ADD COLUMN lane    bytea,                           -- sha256 of repository and ref; null: no push, or one that is only hinted at
    ADD COLUMN before  text,                            -- what the ref pointed at; empty: nothing, or it is not told
    ADD COLUMN after   text,                            -- what it points at now; empty: it was deleted
    ADD COLUMN place   bigint,                          -- which head of its lane it was, from 1; null: it was none
    ADD COLUMN round   integer;                         -- how often the lane went from `before` to `after`, from 1
CREATE INDEX deliveries_of_lane ON slipway.deliveries (hook_id, lane, before, after) WHERE lane IS NOT NULL;
CREATE INDEX heads_of_lane ON slipway.deliveries (hook_id, lane, place DESC) WHERE place IS NOT NULL;

-- For If-Match, and so that of two changes made at once none is lost.
ALTER TABLE slipway.registries ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE slipway.hooks ADD COLUMN version integer NOT NULL DEFAULT 1;
