-- One row of statistics for each column of a file. Merged objects have recorded ones of _partition_id (1) and _offset (2)
-- too, whose bounds are columns of every object; a reader that found both read the file twice.

DROP VIEW ducklake_file_column_stats;
CREATE VIEW ducklake_file_column_stats AS
SELECT file_id AS data_file_id, table_id, column_id, column_bytes AS column_size_bytes, value_count, null_count,
    min_value, max_value, 1 AS contains_nan, CAST(NULL AS TEXT) AS extra_stats
FROM segment_stats WHERE column_id > 2
UNION ALL
SELECT file_id, table_id, 1, NULL, record_count, 0, CAST(min_partition AS TEXT), CAST(max_partition AS TEXT), 1, NULL
FROM lake_files
UNION ALL
SELECT file_id, table_id, 2, NULL, record_count, 0, CAST(min_offset AS TEXT), CAST(max_offset AS TEXT), 1, NULL
FROM lake_files;
