-- Groups and addresses of agents, and ingesters.

ALTER TABLE agents ADD COLUMN agent_group TEXT NOT NULL DEFAULT 'default';
-- Its URL, if it has one that others can use.
ALTER TABLE agents ADD COLUMN address TEXT;

-- Processes that take records over HTTP. They are not in agents: partitions are shared among all of those.
CREATE TABLE ingesters (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    agent_group TEXT NOT NULL,
    address TEXT,
    -- It counts as alive for so long after its heartbeat.
    lease_ms BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL
);
