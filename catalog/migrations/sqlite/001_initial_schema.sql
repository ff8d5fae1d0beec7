-- The catalog, first version. The same tables, columns and names as in ../postgres.
-- Numbers are BIGINT; times are milliseconds since the Unix epoch, UTC, by the clock of the database, unless a
-- name says otherwise. Offsets end at 2^63 - 1. Hashes are 64 bits, stored as the signed number of the same bits.

CREATE TABLE topics (
    name TEXT NOT NULL PRIMARY KEY,
    partition_count BIGINT NOT NULL CHECK (partition_count > 0),
    retention_ms BIGINT, -- NULL: for ever
    config TEXT NOT NULL, -- JSON
    schema_version BIGINT NOT NULL DEFAULT 1, -- rises with every change of config
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX idx_topics_created_at ON topics (created_at);

CREATE TABLE partitions (
    topic TEXT NOT NULL REFERENCES topics (name) ON DELETE CASCADE,
    partition_id BIGINT NOT NULL,
    high_watermark BIGINT NOT NULL DEFAULT 0 CHECK (high_watermark >= 0), -- exclusive; never moves back
    incarnation BIGINT NOT NULL DEFAULT 0, -- the history of the queue that offsets count in
    epoch BIGINT NOT NULL DEFAULT 0, -- each takeover adds one
    owner TEXT, -- UUID of a process start
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'halted')),
    halt_reason TEXT,
    anchor_offset BIGINT, -- the last committed message
    anchor_timestamp_us BIGINT,
    anchor_hash BIGINT,
    commit_no BIGINT NOT NULL DEFAULT 0, -- commits so far
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (topic, partition_id)
);
CREATE INDEX idx_partitions_topic ON partitions (topic);
CREATE INDEX idx_partitions_owner ON partitions (owner);

-- Live segments: what a reader may read.
CREATE TABLE segments (
    id TEXT NOT NULL PRIMARY KEY,
    topic TEXT NOT NULL,
    partition_id BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('data', 'quarantine')),
    base_offset BIGINT NOT NULL,
    end_offset BIGINT NOT NULL, -- inclusive
    record_count BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    min_timestamp_us BIGINT NOT NULL,
    max_timestamp_us BIGINT NOT NULL,
    checksum BIGINT NOT NULL, -- CRC-32C of the object
    schema_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    CHECK (end_offset >= base_offset),
    FOREIGN KEY (topic, partition_id) REFERENCES partitions (topic, partition_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX idx_segments_location ON segments (topic, partition_id, incarnation, kind, base_offset);
CREATE INDEX idx_segments_offsets ON segments (topic, partition_id, incarnation, base_offset, end_offset);
CREATE UNIQUE INDEX idx_segments_s3_path ON segments (bucket, key);

-- Every commit there ever was, while its topic exists. Never changed: an unknown outcome is looked up here.
CREATE TABLE commits (
    topic TEXT NOT NULL,
    partition_id BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    commit_no BIGINT NOT NULL,
    base_offset BIGINT NOT NULL,
    end_offset BIGINT NOT NULL, -- inclusive
    epoch BIGINT NOT NULL,
    owner TEXT NOT NULL,
    message_count BIGINT NOT NULL,
    data_segment_id TEXT, -- the segments it listed, which may be off the list by now
    quarantine_segment_id TEXT,
    anchor_offset BIGINT NOT NULL,
    anchor_timestamp_us BIGINT NOT NULL,
    anchor_hash BIGINT NOT NULL,
    committed_at BIGINT NOT NULL,
    PRIMARY KEY (topic, partition_id, incarnation, base_offset),
    UNIQUE (topic, partition_id, incarnation, end_offset),
    UNIQUE (topic, partition_id, commit_no),
    CHECK (end_offset >= base_offset),
    FOREIGN KEY (topic, partition_id) REFERENCES partitions (topic, partition_id) ON DELETE CASCADE
);

-- Objects that are not listed: about to be (pending), or for the janitor to delete (doomed).
-- Without a foreign key: doomed rows outlive their topic.
CREATE TABLE uploads (
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition_id BIGINT NOT NULL,
    epoch BIGINT, -- NULL, like owner: the object was listed once
    owner TEXT,
    state TEXT NOT NULL CHECK (state IN ('pending', 'doomed')),
    created_at BIGINT NOT NULL,
    doomed_at BIGINT,
    PRIMARY KEY (bucket, key),
    CHECK (state = 'doomed' OR (epoch IS NOT NULL AND owner IS NOT NULL AND doomed_at IS NULL))
);
CREATE INDEX idx_uploads_partition ON uploads (topic, partition_id, state);
CREATE INDEX idx_uploads_doomed_at ON uploads (doomed_at);

-- Offsets that the queue no longer held when the writer came.
CREATE TABLE gaps (
    topic TEXT NOT NULL,
    partition_id BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    base_offset BIGINT NOT NULL,
    end_offset BIGINT NOT NULL, -- inclusive
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (topic, partition_id, incarnation, base_offset),
    CHECK (end_offset >= base_offset),
    FOREIGN KEY (topic, partition_id) REFERENCES partitions (topic, partition_id) ON DELETE CASCADE
);

-- Writer processes. No foreign key from partitions: an owner without a row is an expired one.
CREATE TABLE agents (
    owner TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL
);

CREATE TABLE consumer_groups (
    group_id TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE consumer_offsets (
    group_id TEXT NOT NULL REFERENCES consumer_groups (group_id) ON DELETE CASCADE,
    topic TEXT NOT NULL,
    partition_id BIGINT NOT NULL,
    committed_offset BIGINT NOT NULL,
    metadata TEXT,
    committed_at BIGINT NOT NULL,
    PRIMARY KEY (group_id, topic, partition_id),
    FOREIGN KEY (topic, partition_id) REFERENCES partitions (topic, partition_id) ON DELETE CASCADE
);
CREATE INDEX idx_consumer_offsets_group ON consumer_offsets (group_id);
CREATE INDEX idx_consumer_offsets_topic ON consumer_offsets (topic, partition_id);
