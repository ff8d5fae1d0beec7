-- Topics as tables of DuckLake 1.0: columns with their history, places of stores, and views over them and the list of
-- objects. DuckDB attaches the catalog and reads; nobody can write through a view.
--
-- DuckDB runs the text of such a view itself: only SQL that both understand, no strftime, printf or division.

-- Columns of both tables of each topic, as DuckLake's readers know them. Filled for topics that are older when a program
-- opens the catalog to write.
CREATE TABLE lake_columns (
    table_id BIGINT NOT NULL,
    column_id BIGINT NOT NULL, -- field id in Parquet
    begin_snapshot BIGINT NOT NULL,
    end_snapshot BIGINT, -- the first that has it no more
    column_order BIGINT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL, -- in DuckLake's words
    nullable BIGINT NOT NULL,
    parent_column BIGINT,
    PRIMARY KEY (table_id, column_id, begin_snapshot)
);

-- The address that the keys of a bucket follow, as readers take it: `s3://bucket/`, `/absolute/directory/`.
CREATE TABLE lake_roots (bucket TEXT NOT NULL PRIMARY KEY, root TEXT NOT NULL);

CREATE VIEW lake_files AS
SELECT file_id, table_id, begin_snapshot, NULL AS end_snapshot, bucket, key,
    record_count, size_bytes, footer_bytes, min_partition, max_partition, min_offset, max_offset
FROM objects
UNION ALL
SELECT file_id, table_id, begin_snapshot, end_snapshot, bucket, key,
    record_count, size_bytes, footer_bytes, min_partition, max_partition, min_offset, max_offset
FROM retired_objects;

CREATE VIEW ducklake_metadata AS
SELECT 'version' AS key, '1.0' AS value, CAST(NULL AS TEXT) AS scope, CAST(NULL AS BIGINT) AS scope_id
UNION ALL SELECT 'created_by', 'siltstone', NULL, NULL
UNION ALL SELECT 'encrypted', 'false', NULL, NULL
UNION ALL SELECT 'auto_compact', 'false', NULL, NULL
UNION ALL SELECT 'data_inlining_row_limit', '0', NULL, NULL
-- A place without objects: readers look for orphans there.
UNION ALL SELECT 'data_path', COALESCE((SELECT min(root) FROM lake_roots), '/unknown/') || '.ducklake/', NULL, NULL;

CREATE VIEW ducklake_snapshot AS
SELECT snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id FROM lake_snapshots;

CREATE VIEW ducklake_snapshot_changes AS
SELECT snapshot_id, changes AS changes_made, 'siltstone' AS author, CAST(NULL AS TEXT) AS commit_message,
    CAST(NULL AS TEXT) AS commit_extra_info
FROM lake_snapshots;

CREATE VIEW ducklake_schema AS
SELECT 0 AS schema_id, '5117570e-0000-4000-8000-000000000000' AS schema_uuid, 0 AS begin_snapshot,
    CAST(NULL AS BIGINT) AS end_snapshot, 'main' AS schema_name, '' AS path, 1 AS path_is_relative
UNION ALL SELECT 1, '5117570e-0000-4000-8000-000000000001', 0, NULL, 'quarantine', '', 1;

CREATE VIEW ducklake_table AS
SELECT table_id, table_uuid, begin_snapshot, CAST(NULL AS BIGINT) AS end_snapshot, 0 AS schema_id, name AS table_name,
    '' AS path, 1 AS path_is_relative
FROM topics
UNION ALL
SELECT quarantine_table_id, quarantine_uuid, begin_snapshot, NULL, 1, name, '', 1 FROM topics;

CREATE VIEW ducklake_column AS
SELECT column_id, begin_snapshot, end_snapshot, table_id, column_order, name AS column_name, type AS column_type,
    CAST(NULL AS TEXT) AS initial_default, 'NULL' AS default_value, nullable AS nulls_allowed, parent_column,
    CASE WHEN type IN ('list', 'struct', 'map') THEN '' ELSE 'literal' END AS default_value_type,
    'duckdb' AS default_value_dialect
FROM lake_columns;

-- Ids of rows: unique without a counter.
CREATE VIEW ducklake_data_file AS
SELECT f.file_id AS data_file_id, f.table_id, f.begin_snapshot, f.end_snapshot, CAST(NULL AS BIGINT) AS file_order,
    COALESCE(r.root, '/unknown/') || f.key AS path, 0 AS path_is_relative, 'parquet' AS file_format, f.record_count,
    f.size_bytes AS file_size_bytes, f.footer_bytes AS footer_size, f.file_id * 4294967296 AS row_id_start,
    CAST(NULL AS BIGINT) AS partition_id, CAST(NULL AS TEXT) AS encryption_key, CAST(NULL AS BIGINT) AS mapping_id,
    CAST(NULL AS BIGINT) AS partial_max
FROM lake_files AS f LEFT JOIN lake_roots AS r ON r.bucket = f.bucket;

-- Bounds of _partition_id and _offset are columns of objects. Each column counts as one with NaN: bounds of floats do not
-- enclose it, and other types have none.
CREATE VIEW ducklake_file_column_stats AS
SELECT file_id AS data_file_id, table_id, column_id, column_bytes AS column_size_bytes, value_count, null_count,
    min_value, max_value, 1 AS contains_nan, CAST(NULL AS TEXT) AS extra_stats
FROM segment_stats
UNION ALL
SELECT file_id, table_id, 1, NULL, record_count, 0, CAST(min_partition AS TEXT), CAST(max_partition AS TEXT), 1, NULL
FROM lake_files
UNION ALL
SELECT file_id, table_id, 2, NULL, record_count, 0, CAST(min_offset AS TEXT), CAST(max_offset AS TEXT), 1, NULL
FROM lake_files;

CREATE VIEW ducklake_table_stats AS
SELECT table_id, CAST(sum(record_count) AS BIGINT) AS record_count,
    max(file_id * 4294967296 + record_count) AS next_row_id, CAST(sum(size_bytes) AS BIGINT) AS file_size_bytes
FROM objects GROUP BY table_id;

-- What Siltstone does not use is empty.
CREATE VIEW ducklake_view AS
SELECT CAST(NULL AS BIGINT) AS "view_id", CAST(NULL AS TEXT) AS "view_uuid",
    CAST(NULL AS BIGINT) AS "begin_snapshot", CAST(NULL AS BIGINT) AS "end_snapshot",
    CAST(NULL AS BIGINT) AS "schema_id", CAST(NULL AS TEXT) AS "view_name", CAST(NULL AS TEXT) AS "dialect",
    CAST(NULL AS TEXT) AS "sql", CAST(NULL AS TEXT) AS "column_aliases"
WHERE 1 = 0;
CREATE VIEW ducklake_tag AS
SELECT CAST(NULL AS BIGINT) AS "object_id", CAST(NULL AS BIGINT) AS "begin_snapshot",
    CAST(NULL AS BIGINT) AS "end_snapshot", CAST(NULL AS TEXT) AS "key", CAST(NULL AS TEXT) AS "value"
WHERE 1 = 0;
CREATE VIEW ducklake_column_tag AS
SELECT CAST(NULL AS BIGINT) AS "table_id", CAST(NULL AS BIGINT) AS "column_id",
    CAST(NULL AS BIGINT) AS "begin_snapshot", CAST(NULL AS BIGINT) AS "end_snapshot",
    CAST(NULL AS TEXT) AS "key", CAST(NULL AS TEXT) AS "value"
WHERE 1 = 0;
CREATE VIEW ducklake_file_variant_stats AS
SELECT CAST(NULL AS BIGINT) AS "data_file_id", CAST(NULL AS BIGINT) AS "table_id",
    CAST(NULL AS BIGINT) AS "column_id", CAST(NULL AS TEXT) AS "variant_path",
    CAST(NULL AS TEXT) AS "shredded_type", CAST(NULL AS BIGINT) AS "column_size_bytes",
    CAST(NULL AS BIGINT) AS "value_count", CAST(NULL AS BIGINT) AS "null_count",
    CAST(NULL AS TEXT) AS "min_value", CAST(NULL AS TEXT) AS "max_value", CAST(NULL AS BIGINT) AS "contains_nan",
    CAST(NULL AS TEXT) AS "extra_stats"
WHERE 1 = 0;
CREATE VIEW ducklake_delete_file AS
SELECT CAST(NULL AS BIGINT) AS "delete_file_id", CAST(NULL AS BIGINT) AS "table_id",
    CAST(NULL AS BIGINT) AS "begin_snapshot", CAST(NULL AS BIGINT) AS "end_snapshot",
    CAST(NULL AS BIGINT) AS "data_file_id", CAST(NULL AS TEXT) AS "path",
    CAST(NULL AS BIGINT) AS "path_is_relative", CAST(NULL AS TEXT) AS "format",
    CAST(NULL AS BIGINT) AS "delete_count", CAST(NULL AS BIGINT) AS "file_size_bytes",
    CAST(NULL AS BIGINT) AS "footer_size", CAST(NULL AS TEXT) AS "encryption_key",
    CAST(NULL AS BIGINT) AS "partial_max"
WHERE 1 = 0;
CREATE VIEW ducklake_table_column_stats AS
SELECT CAST(NULL AS BIGINT) AS "table_id", CAST(NULL AS BIGINT) AS "column_id",
    CAST(NULL AS BIGINT) AS "contains_null", CAST(NULL AS BIGINT) AS "contains_nan",
    CAST(NULL AS TEXT) AS "min_value", CAST(NULL AS TEXT) AS "max_value", CAST(NULL AS TEXT) AS "extra_stats"
WHERE 1 = 0;
CREATE VIEW ducklake_partition_info AS
SELECT CAST(NULL AS BIGINT) AS "partition_id", CAST(NULL AS BIGINT) AS "table_id",
    CAST(NULL AS BIGINT) AS "begin_snapshot", CAST(NULL AS BIGINT) AS "end_snapshot"
WHERE 1 = 0;
CREATE VIEW ducklake_partition_column AS
SELECT CAST(NULL AS BIGINT) AS "partition_id", CAST(NULL AS BIGINT) AS "table_id",
    CAST(NULL AS BIGINT) AS "partition_key_index", CAST(NULL AS BIGINT) AS "column_id",
    CAST(NULL AS TEXT) AS "transform"
WHERE 1 = 0;
CREATE VIEW ducklake_file_partition_value AS
SELECT CAST(NULL AS BIGINT) AS "data_file_id", CAST(NULL AS BIGINT) AS "table_id",
    CAST(NULL AS BIGINT) AS "partition_key_index", CAST(NULL AS TEXT) AS "partition_value"
WHERE 1 = 0;
CREATE VIEW ducklake_files_scheduled_for_deletion AS
SELECT CAST(NULL AS BIGINT) AS "data_file_id", CAST(NULL AS TEXT) AS "path",
    CAST(NULL AS BIGINT) AS "path_is_relative", CAST(NULL AS TEXT) AS "schedule_start"
WHERE 1 = 0;
CREATE VIEW ducklake_inlined_data_tables AS
SELECT CAST(NULL AS BIGINT) AS "table_id", CAST(NULL AS TEXT) AS "table_name",
    CAST(NULL AS BIGINT) AS "schema_version"
WHERE 1 = 0;
CREATE VIEW ducklake_column_mapping AS
SELECT CAST(NULL AS BIGINT) AS "mapping_id", CAST(NULL AS BIGINT) AS "table_id", CAST(NULL AS TEXT) AS "type"
WHERE 1 = 0;
CREATE VIEW ducklake_name_mapping AS
SELECT CAST(NULL AS BIGINT) AS "mapping_id", CAST(NULL AS BIGINT) AS "column_id",
    CAST(NULL AS TEXT) AS "source_name", CAST(NULL AS BIGINT) AS "target_field_id",
    CAST(NULL AS BIGINT) AS "parent_column", CAST(NULL AS BIGINT) AS "is_partition"
WHERE 1 = 0;
CREATE VIEW ducklake_schema_versions AS
SELECT CAST(NULL AS BIGINT) AS "begin_snapshot", CAST(NULL AS BIGINT) AS "schema_version",
    CAST(NULL AS BIGINT) AS "table_id"
WHERE 1 = 0;
CREATE VIEW ducklake_macro AS
SELECT CAST(NULL AS BIGINT) AS "schema_id", CAST(NULL AS BIGINT) AS "macro_id",
    CAST(NULL AS TEXT) AS "macro_name", CAST(NULL AS BIGINT) AS "begin_snapshot",
    CAST(NULL AS BIGINT) AS "end_snapshot"
WHERE 1 = 0;
CREATE VIEW ducklake_macro_impl AS
SELECT CAST(NULL AS BIGINT) AS "macro_id", CAST(NULL AS BIGINT) AS "impl_id", CAST(NULL AS TEXT) AS "dialect",
    CAST(NULL AS TEXT) AS "sql", CAST(NULL AS TEXT) AS "type"
WHERE 1 = 0;
CREATE VIEW ducklake_macro_parameters AS
SELECT CAST(NULL AS BIGINT) AS "macro_id", CAST(NULL AS BIGINT) AS "impl_id",
    CAST(NULL AS BIGINT) AS "column_id", CAST(NULL AS TEXT) AS "parameter_name",
    CAST(NULL AS TEXT) AS "parameter_type", CAST(NULL AS TEXT) AS "default_value",
    CAST(NULL AS TEXT) AS "default_value_type"
WHERE 1 = 0;
CREATE VIEW ducklake_sort_info AS
SELECT CAST(NULL AS BIGINT) AS "sort_id", CAST(NULL AS BIGINT) AS "table_id",
    CAST(NULL AS BIGINT) AS "begin_snapshot", CAST(NULL AS BIGINT) AS "end_snapshot"
WHERE 1 = 0;
CREATE VIEW ducklake_sort_expression AS
SELECT CAST(NULL AS BIGINT) AS "sort_id", CAST(NULL AS BIGINT) AS "table_id",
    CAST(NULL AS BIGINT) AS "sort_key_index", CAST(NULL AS TEXT) AS "expression",
    CAST(NULL AS TEXT) AS "dialect", CAST(NULL AS TEXT) AS "sort_direction", CAST(NULL AS TEXT) AS "null_order"
WHERE 1 = 0;
