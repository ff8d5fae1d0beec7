-- One row of statistics for each column of a file. Merged objects have recorded ones of _partition_id (1) and _offset (2)
-- too, whose bounds are columns of every object; a reader that found both read the file twice.

-- The view stands where those of DuckLake do.
SELECT set_config('siltstone.home', current_setting('search_path'), true);
SELECT set_config('search_path', format('%I, %I', n.nspname, current_schema()), true)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'ducklake_data_file' AND n.nspname IN (
    CASE current_schema() WHEN 'public' THEN 'lake' ELSE current_schema() || '_lake' END, current_schema())
ORDER BY n.nspname = current_schema() LIMIT 1;

-- Replaced, so that whoever may read it still may.
CREATE OR REPLACE VIEW ducklake_file_column_stats AS
SELECT file_id AS data_file_id, table_id, column_id, column_bytes AS column_size_bytes, value_count, null_count,
    min_value, max_value, true AS contains_nan, CAST(NULL AS TEXT) AS extra_stats
FROM segment_stats WHERE column_id > 2
UNION ALL
SELECT file_id, table_id, 1, NULL, record_count, 0, CAST(min_partition AS TEXT), CAST(max_partition AS TEXT), true, NULL
FROM lake_files
UNION ALL
SELECT file_id, table_id, 2, NULL, record_count, 0, CAST(min_offset AS TEXT), CAST(max_offset AS TEXT), true, NULL
FROM lake_files;

SELECT set_config('search_path', current_setting('siltstone.home'), true);
