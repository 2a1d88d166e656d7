-- Lists of a registry's runs by task, and of its deliveries by status: without these, a page of a task with few
-- runs reads the registry's whole history. The first is also one of the indexes for lists of runs.
CREATE INDEX IF NOT EXISTS runs_of_task_name ON slipway.runs (registry, task, id DESC) WHERE task IS NOT NULL;
CREATE INDEX deliveries_of_status ON slipway.deliveries (registry, status, id DESC);
