INSERT INTO topics (name, partition_count, config, schema_version, created_at, updated_at) VALUES
    ('orders', 2, '{}', 2, 20, 20),
    ('Orders', 1, '{}', 1, 10, 10),
    ('a"b', 1, '{}', 1, 30, 30);
INSERT INTO partitions (topic, partition_id, high_watermark, incarnation, epoch, owner, anchor_offset,
    anchor_timestamp_us, anchor_hash, commit_no, created_at, updated_at) VALUES
    ('orders', 0, 50, 1, 3, NULL, 49, 0, -6, 6, 20, 20),
    ('orders', 1, 10, 0, 1, NULL, 9, 0, -7, 1, 20, 20),
    ('Orders', 0, 10, 0, 1, NULL, 9, 0, -8, 1, 10, 10),
    ('a"b', 0, 0, 0, 0, NULL, NULL, NULL, NULL, 0, 30, 30);
INSERT INTO incarnations (topic, partition_id, incarnation, start_offset, reason, created_at) VALUES
    ('orders', 0, 1, 40, 'the stream was made again', 150);
INSERT INTO retired_epochs (topic, epoch) VALUES ('deleted', 7);
INSERT INTO commits (topic, partition_id, incarnation, commit_no, base_offset, end_offset, epoch, owner, message_count,
    data_segment_id, quarantine_segment_id, anchor_offset, anchor_timestamp_us, anchor_hash, committed_at) VALUES
    ('orders', 0, 0, 1, 0, 9, 1, '01a215a6-0000-7000-8000-0000000000aa', 10,
        'orders-0-0-01a215a6-0000-7000-8000-000000000001', NULL, 9, 0, -1, 110),
    ('orders', 0, 0, 2, 10, 19, 1, '01a215a6-0000-7000-8000-0000000000aa', 10,
        'orders-0-10-01a215a6-0000-7000-8000-000000000002', 'orders-0-10-01a215a6-0000-7000-8000-000000000003',
        19, 0, -2, 120),
    ('orders', 0, 0, 3, 20, 29, 1, '01a215a6-0000-7000-8000-0000000000aa', 10, 'orders-0-20-c', NULL, 29, 0, -3, 130),
    ('orders', 0, 0, 4, 30, 39, 1, '01a215a6-0000-7000-8000-0000000000aa', 10, 'orders-0-30-d', 'orders-0-30-q',
        39, 0, -4, 140),
    ('orders', 0, 0, 5, 40, 44, 1, '01a215a6-0000-7000-8000-0000000000aa', 0, NULL, NULL, 44, 0, -5, 145),
    ('orders', 0, 1, 6, 40, 49, 3, '01a215a6-0000-7000-8000-0000000000aa', 10, 'orders-0-40-e', NULL, 49, 0, -6, 160),
    ('orders', 1, 0, 1, 0, 9, 1, '01a215a6-0000-7000-8000-0000000000aa', 10,
        'orders-1-0-01a215a6-0000-7000-8000-000000000009', NULL, 9, 0, -7, 165),
    ('Orders', 0, 0, 1, 0, 9, 1, '01a215a6-0000-7000-8000-0000000000aa', 10, 'Orders-0-0-a', NULL, 9, 0, -8, 170);
INSERT INTO gaps (topic, partition_id, incarnation, base_offset, end_offset, reason, created_at) VALUES
    ('orders', 0, 0, 40, 44, 'expired in the queue', 145);
INSERT INTO segments (id, topic, partition_id, incarnation, kind, base_offset, end_offset, record_count, size_bytes,
    bucket, key, min_timestamp_us, max_timestamp_us, checksum, schema_version, created_at) VALUES
    ('Orders-0-0-a', 'Orders', 0, 0, 'data', 0, 9, 10, 107, 'lake', 'Orders/a', 5, 6, 7, 1, 170),
    ('orders-0-40-e', 'orders', 0, 1, 'data', 40, 49, 10, 106, 'lake', 'orders/e', 0, 9223372036854775807, 4294967295,
        2, 160),
    ('orders-0-30-q', 'orders', 0, 0, 'quarantine', 30, 39, 2, 105, 'lake', 'orders/d.quarantine', 1000000,
        1700000000123456, 5, 1, 140),
    ('orders-0-30-d', 'orders', 0, 0, 'data', 30, 39, 8, 104, 'lake', 'orders/d', 1000000, 1700000000123456, 4, 1, 140),
    ('orders-0-20-c', 'orders', 0, 0, 'data', 20, 29, 10, 103, 'lake', 'orders/c', -2, 99, 3, 1, 130);
INSERT INTO uploads (bucket, key, topic, partition_id, epoch, owner, state, created_at, doomed_at, sweeps) VALUES
    ('lake', 'orders/p=0/0-9-1-01a215a6-0000-7000-8000-000000000001.parquet', 'orders', 0, NULL, NULL, 'doomed',
        110, 500, 0),
    ('lake', 'orders/p=0/10-19-1-01a215a6-0000-7000-8000-000000000002.parquet', 'orders', 0, NULL, NULL, 'doomed',
        120, 500, 0),
    ('lake', 'orders/p=0/10-19-1-01a215a6-0000-7000-8000-000000000003.quarantine.parquet', 'orders', 0, NULL, NULL,
        'doomed', 120, 500, 0),
    ('lake', 'orders/lost', 'orders', 0, 1, '01a215a6-0000-7000-8000-0000000000aa', 'doomed', 125, 126, 0),
    ('lake', 'orders/pending', 'orders', 0, 3, '01a215a6-0000-7000-8000-0000000000aa', 'pending', 180, NULL, 0),
    ('lake', 'deleted/x', 'deleted', 0, NULL, NULL, 'doomed', 90, 91, 1);
INSERT INTO consumer_groups (group_id, created_at, updated_at) VALUES ('readers', 1, 1);
INSERT INTO consumer_offsets (group_id, topic, partition_id, committed_offset, metadata, committed_at) VALUES
    ('readers', 'orders', 0, 45, NULL, 1),
    ('readers', 'orders', 1, 7, 'a note', 1);
