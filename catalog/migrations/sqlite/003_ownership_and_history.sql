-- Balancing, poison, incarnations, the janitor's sweeps, replays.

-- Only these topics are wanted by the agent; '[]' for all. JSON.
ALTER TABLE agents ADD COLUMN topics TEXT NOT NULL DEFAULT '[]';

-- Takeovers from an owner that did not release, since the watermark last moved.
ALTER TABLE partitions ADD COLUMN takeovers BIGINT NOT NULL DEFAULT 0;
-- The message that is being decoded by itself, and how often that was begun without an end.
ALTER TABLE partitions ADD COLUMN suspect_offset BIGINT;
ALTER TABLE partitions ADD COLUMN suspect_times BIGINT NOT NULL DEFAULT 0;

-- How often the janitor has deleted the object: a put that was under way may land after the first time.
ALTER TABLE uploads ADD COLUMN sweeps BIGINT NOT NULL DEFAULT 0;

-- Where the histories of a partition's queue begin, from the second one on. The first begins at 0.
CREATE TABLE incarnations (
    topic TEXT NOT NULL,
    partition_id BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    start_offset BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (topic, partition_id, incarnation),
    FOREIGN KEY (topic, partition_id) REFERENCES partitions (topic, partition_id) ON DELETE CASCADE
);

-- Quarantined records that were published again, and what became of them.
CREATE TABLE replays (
    topic TEXT NOT NULL,
    partition_id BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    message_offset BIGINT NOT NULL,
    row_number BIGINT NOT NULL,
    new_partition_id BIGINT NOT NULL,
    new_offset BIGINT NOT NULL,
    replayed_at BIGINT NOT NULL,
    PRIMARY KEY (topic, partition_id, incarnation, message_offset, row_number),
    FOREIGN KEY (topic, partition_id) REFERENCES partitions (topic, partition_id) ON DELETE CASCADE
);
