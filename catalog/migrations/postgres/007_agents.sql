-- Groups and addresses of agents, and ingesters.

ALTER TABLE agents ADD COLUMN agent_group TEXT COLLATE "C" NOT NULL DEFAULT 'default';
-- Its URL, if it has one that others can use.
ALTER TABLE agents ADD COLUMN address TEXT COLLATE "C";

-- Processes that take records over HTTP. They are not in agents: partitions are shared among all of those.
CREATE TABLE ingesters (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    agent_group TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C",
    -- It counts as alive for so long after its heartbeat.
    lease_ms BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL
);
