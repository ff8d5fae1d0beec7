-- Members of consumer groups, and the partitions that they claimed.

-- Rises with each change of the group's members, their topics or their claims.
ALTER TABLE consumer_groups ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;

CREATE TABLE consumer_members (
    group_id TEXT COLLATE "C" NOT NULL REFERENCES consumer_groups (group_id) ON DELETE CASCADE,
    member_id TEXT COLLATE "C" NOT NULL, -- UUID
    name TEXT COLLATE "C" NOT NULL,
    topics TEXT COLLATE "C" NOT NULL, -- JSON: those that it subscribed to, by name
    -- It counts as alive for so long after its heartbeat.
    lease_ms BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    PRIMARY KEY (group_id, member_id)
);

-- The member that reads a partition, and alone may commit offsets of it for the group.
CREATE TABLE consumer_claims (
    group_id TEXT COLLATE "C" NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    partition_id BIGINT NOT NULL,
    member_id TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL, -- of the group, once the claim was made: no two claims of a partition have the same
    claimed_at BIGINT NOT NULL,
    PRIMARY KEY (group_id, topic, partition_id),
    FOREIGN KEY (group_id, member_id) REFERENCES consumer_members (group_id, member_id) ON DELETE CASCADE,
    FOREIGN KEY (topic, partition_id) REFERENCES partitions (topic, partition_id) ON DELETE CASCADE
);
CREATE INDEX idx_consumer_claims_member ON consumer_claims (group_id, member_id);
CREATE INDEX idx_consumer_claims_topic ON consumer_claims (topic, partition_id);
