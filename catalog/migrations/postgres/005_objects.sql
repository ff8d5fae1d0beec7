-- Objects apart from segments, snapshots of their list, commits that can be folded, expirations.
-- An object that version 4 listed becomes one that snapshot 1 lists, in the layout of columns of that time.

-- The two tables of a topic, for readers that know tables. Numbers are never used again.
ALTER TABLE topics ADD COLUMN table_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE topics ADD COLUMN table_uuid TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE topics ADD COLUMN quarantine_table_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE topics ADD COLUMN quarantine_uuid TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE topics ADD COLUMN begin_snapshot BIGINT NOT NULL DEFAULT 1;
UPDATE topics SET
    table_id = numbered.id,
    quarantine_table_id = numbered.id + 1,
    table_uuid = CAST(gen_random_uuid() AS TEXT),
    quarantine_uuid = CAST(gen_random_uuid() AS TEXT)
FROM (SELECT name, 2 * ROW_NUMBER() OVER (ORDER BY created_at, name) AS id FROM topics) AS numbered
WHERE numbered.name = topics.name;
CREATE UNIQUE INDEX idx_topics_table_id ON topics (table_id);
CREATE UNIQUE INDEX idx_topics_quarantine_table_id ON topics (quarantine_table_id);

-- Names that differ in the case of ASCII letters alone count as the same for new topics.
CREATE TABLE topic_names (
    folded TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL -- a topic of that name, one of them where there are more
);
INSERT INTO topic_names (folded, name) SELECT lower(name), min(name) FROM topics GROUP BY lower(name);

-- Live objects: what a reader may read. Bounds enclose the rows of all segments.
CREATE TABLE objects (
    file_id BIGINT NOT NULL PRIMARY KEY,
    table_id BIGINT NOT NULL,
    bucket TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    begin_snapshot BIGINT NOT NULL,
    level BIGINT NOT NULL, -- 0 as the pipeline writes it, one more per replacement
    layout BIGINT NOT NULL, -- of the columns: 1 with _partition, 2 with _partition_id and _incarnation
    record_count BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    footer_bytes BIGINT, -- NULL: not known
    checksum BIGINT NOT NULL, -- CRC-32C of the object
    schema_version BIGINT NOT NULL,
    min_partition BIGINT NOT NULL,
    max_partition BIGINT NOT NULL,
    min_offset BIGINT NOT NULL,
    max_offset BIGINT NOT NULL,
    min_timestamp_us BIGINT NOT NULL,
    max_timestamp_us BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (bucket, key)
);
INSERT INTO objects
SELECT ROW_NUMBER() OVER (ORDER BY s.created_at, s.topic, s.partition_id, s.incarnation, s.base_offset, s.kind),
    CASE s.kind WHEN 'data' THEN t.table_id ELSE t.quarantine_table_id END, s.bucket, s.key, 1, 0, 1, s.record_count,
    s.size_bytes, NULL, s.checksum, s.schema_version, s.partition_id, s.partition_id, s.base_offset, s.end_offset,
    s.min_timestamp_us, s.max_timestamp_us, s.created_at
FROM segments AS s JOIN topics AS t ON t.name = s.topic;
CREATE INDEX idx_objects_table_id ON objects (table_id, file_id);

-- Off the list, but not deleted yet: earlier snapshots have them. Without a foreign key, like objects: those of a
-- deleted topic wait for the janitor here.
CREATE TABLE retired_objects (
    file_id BIGINT NOT NULL PRIMARY KEY,
    table_id BIGINT NOT NULL,
    bucket TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    begin_snapshot BIGINT NOT NULL,
    level BIGINT NOT NULL,
    layout BIGINT NOT NULL,
    record_count BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    footer_bytes BIGINT,
    checksum BIGINT NOT NULL,
    schema_version BIGINT NOT NULL,
    min_partition BIGINT NOT NULL,
    max_partition BIGINT NOT NULL,
    min_offset BIGINT NOT NULL,
    max_offset BIGINT NOT NULL,
    min_timestamp_us BIGINT NOT NULL,
    max_timestamp_us BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    end_snapshot BIGINT NOT NULL, -- the first that has it no more
    retired_at BIGINT NOT NULL,
    UNIQUE (bucket, key)
);
CREATE INDEX idx_retired_objects_table_id ON retired_objects (table_id, file_id);

-- What is known of the columns of live and retired objects. Bounds are texts that each reader can parse, or NULL.
CREATE TABLE segment_stats (
    table_id BIGINT NOT NULL,
    column_id BIGINT NOT NULL, -- field id in Parquet
    file_id BIGINT NOT NULL,
    column_bytes BIGINT NOT NULL,
    value_count BIGINT NOT NULL, -- not NULL
    null_count BIGINT NOT NULL,
    min_value TEXT COLLATE "C",
    max_value TEXT COLLATE "C",
    PRIMARY KEY (table_id, column_id, file_id)
);
-- _timestamp, where it lies in the years 1 to 9999; its bytes are not known.
INSERT INTO segment_stats
SELECT table_id, 4, file_id, 0, record_count, 0,
    to_char(TIMESTAMP '1970-01-01' + (min_timestamp_us - min_fraction) / 1000000 * INTERVAL '1 second'
        + min_fraction * INTERVAL '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US') || '+00',
    to_char(TIMESTAMP '1970-01-01' + (max_timestamp_us - max_fraction) / 1000000 * INTERVAL '1 second'
        + max_fraction * INTERVAL '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'
FROM (SELECT *, (min_timestamp_us % 1000000 + 1000000) % 1000000 AS min_fraction,
          (max_timestamp_us % 1000000 + 1000000) % 1000000 AS max_fraction
      FROM objects WHERE min_timestamp_us >= -62135596800000000 AND max_timestamp_us < 253402300800000000) AS bounded;

-- Every commit, alone or folded with its neighbours into one row that stands for all of them.
ALTER TABLE commits ADD COLUMN first_commit_no BIGINT NOT NULL DEFAULT 0; -- of the run; its last one is commit_no
ALTER TABLE commits ADD COLUMN record_count BIGINT; -- rows listed in data; NULL: not known
ALTER TABLE commits ADD COLUMN quarantined_count BIGINT; -- rows listed in quarantine; NULL: not known
ALTER TABLE commits ADD COLUMN snapshot_id BIGINT; -- of the last one; NULL: it listed no object, or not known
UPDATE commits SET
    first_commit_no = commit_no,
    record_count = CASE WHEN data_segment_id IS NULL THEN 0
        ELSE (SELECT s.record_count FROM segments AS s WHERE s.id = data_segment_id) END,
    quarantined_count = CASE WHEN quarantine_segment_id IS NULL THEN 0
        ELSE (SELECT s.record_count FROM segments AS s WHERE s.id = quarantine_segment_id) END;

-- Retention took the segments of an incarnation that end below the offset off the list.
CREATE TABLE expirations (
    topic TEXT COLLATE "C" NOT NULL,
    partition_id BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    before_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, partition_id, incarnation),
    FOREIGN KEY (topic, partition_id) REFERENCES partitions (topic, partition_id) ON DELETE CASCADE
);
-- It takes the oldest ones: a segment that is missing between listed ones was not taken by it.
INSERT INTO expirations (topic, partition_id, incarnation, before_offset)
SELECT c.topic, c.partition_id, c.incarnation, max(c.end_offset) + 1
FROM commits AS c
    LEFT JOIN (SELECT topic, partition_id, incarnation, min(base_offset) AS base_offset FROM segments
               GROUP BY topic, partition_id, incarnation) AS listed
    ON listed.topic = c.topic AND listed.partition_id = c.partition_id AND listed.incarnation = c.incarnation
WHERE (c.record_count IS NULL OR c.quarantined_count IS NULL)
    AND (listed.base_offset IS NULL OR c.end_offset < listed.base_offset)
GROUP BY c.topic, c.partition_id, c.incarnation;

-- Intents of replacements are of no partition. An object that was listed names its segment.
CREATE TABLE known_segments (topic TEXT COLLATE "C", partition_id BIGINT, uuid TEXT COLLATE "C", id TEXT COLLATE "C");
INSERT INTO known_segments
SELECT topic, partition_id, right(data_segment_id, 36), data_segment_id FROM commits WHERE record_count IS NULL
UNION ALL
SELECT topic, partition_id, right(quarantine_segment_id, 36), quarantine_segment_id FROM commits
WHERE quarantined_count IS NULL;
CREATE INDEX idx_known_segments ON known_segments (topic, partition_id, uuid);
ALTER TABLE uploads ADD COLUMN segment_id TEXT COLLATE "C"; -- the one segment that it held when it was listed
ALTER TABLE uploads ALTER COLUMN partition_id DROP NOT NULL; -- NULL: of a replacement, or of several partitions
UPDATE uploads AS u SET segment_id = (
    SELECT min(k.id) FROM known_segments AS k WHERE k.topic = u.topic AND k.partition_id = u.partition_id
        AND k.uuid = right(replace(replace(u.key, '.quarantine.parquet', ''), '.parquet', ''), 36))
WHERE epoch IS NULL;
DROP TABLE known_segments;

-- Live segments: the range of one partition whose rows an object holds.
ALTER TABLE segments ADD COLUMN file_id BIGINT REFERENCES objects (file_id);
UPDATE segments AS s SET file_id = o.file_id FROM objects AS o WHERE o.bucket = s.bucket AND o.key = s.key;
ALTER TABLE segments ALTER COLUMN file_id SET NOT NULL;
ALTER TABLE segments DROP COLUMN size_bytes, DROP COLUMN bucket, DROP COLUMN key, DROP COLUMN checksum;
CREATE INDEX idx_segments_file_id ON segments (file_id);

-- The history that a group's offset counts in.
ALTER TABLE consumer_offsets ADD COLUMN incarnation BIGINT NOT NULL DEFAULT 0;
UPDATE consumer_offsets SET incarnation = (
    SELECT p.incarnation FROM partitions AS p
    WHERE p.topic = consumer_offsets.topic AND p.partition_id = consumer_offsets.partition_id
);

-- States of the lists of tables and objects. Some are thinned out after a while.
CREATE TABLE lake_snapshots (
    snapshot_id BIGINT NOT NULL PRIMARY KEY,
    snapshot_time TEXT COLLATE "C" NOT NULL, -- 2026-11-20 00:01:39.000099+00
    time_us BIGINT NOT NULL, -- the same in microseconds; rises
    schema_version BIGINT NOT NULL, -- of all tables: rises with each that is created, altered or dropped
    next_catalog_id BIGINT NOT NULL, -- of a table
    next_file_id BIGINT NOT NULL, -- of an object
    changes TEXT COLLATE "C" NOT NULL -- in DuckLake's words
);
INSERT INTO lake_snapshots
SELECT id, to_char(TIMESTAMP '1970-01-01' + time_us / 1000000 * INTERVAL '1 second' + time_us % 1000000 * INTERVAL '1 microsecond',
    'YYYY-MM-DD HH24:MI:SS.US') || '+00', time_us, id, next_catalog_id, next_file_id, changes
FROM (
    SELECT 0 AS id, now_us AS time_us, 2 AS next_catalog_id, 1 AS next_file_id,
        'created_schema:"main",created_schema:"quarantine"' AS changes
    FROM (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) * 1000 AS now_us) AS clock
    UNION ALL
    SELECT 1, now_us + 1, (SELECT 2 + 2 * count(*) FROM topics), (SELECT 1 + count(*) FROM objects),
        COALESCE((SELECT string_agg('created_table:"main"."' || replace(name, '"', '""')
            || '",created_table:"quarantine"."' || replace(name, '"', '""') || '"', ',' ORDER BY table_id) FROM topics), '')
        || COALESCE((SELECT ',' || string_agg('inserted_into_table:' || table_id, ',' ORDER BY table_id)
            FROM (SELECT DISTINCT table_id FROM objects) AS listed), '')
    FROM (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) * 1000 AS now_us) AS clock
) AS first_two;

-- The newest of them. A transaction that makes one locks this row, so that their numbers become visible in order.
CREATE TABLE lake_head (
    one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    snapshot_id BIGINT NOT NULL,
    time_us BIGINT NOT NULL,
    schema_version BIGINT NOT NULL,
    next_catalog_id BIGINT NOT NULL,
    next_file_id BIGINT NOT NULL
);
INSERT INTO lake_head
SELECT 1, snapshot_id, time_us, schema_version, next_catalog_id, next_file_id FROM lake_snapshots WHERE snapshot_id = 1;
