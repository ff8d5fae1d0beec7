-- Topics as tables of Iceberg, published after the commits: the state of each table, the objects of its metadata, and two
-- views in the layout of Iceberg's SQL catalogs, through which nobody can write.

-- The newest metadata of a table.
CREATE TABLE iceberg_heads (
    table_id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL, -- one more with each publication
    metadata_location TEXT NOT NULL,
    previous_metadata_location TEXT,
    bucket TEXT COLLATE "C" NOT NULL,
    root TEXT NOT NULL, -- the address that keys followed when it was published
    lake_snapshot BIGINT NOT NULL, -- the table has the objects that were live in it
    next_file_id BIGINT NOT NULL, -- objects from this number on are not in the table
    schema_version BIGINT NOT NULL, -- of the topic
    metadata TEXT NOT NULL, -- the text of the object at metadata_location
    manifests TEXT NOT NULL, -- the manifests of the newest snapshot of Iceberg, as JSON
    expires_at BIGINT, -- from then on the oldest kept snapshot of Iceberg may go; NULL: only the newest is kept
    published_at BIGINT NOT NULL
);

-- Objects that a kept snapshot of Iceberg has. The janitor leaves them alone.
CREATE TABLE iceberg_published (
    file_id BIGINT NOT NULL PRIMARY KEY,
    table_id BIGINT NOT NULL,
    snapshot_id BIGINT NOT NULL, -- of Iceberg, the first that has it
    sequence_number BIGINT NOT NULL, -- of that snapshot
    removed_version BIGINT -- the version of the metadata whose newest snapshot has it no more; NULL: the newest has it
);
CREATE INDEX idx_iceberg_published_table_id ON iceberg_published (table_id, removed_version);

-- Objects of metadata that a kept snapshot needs. The janitor leaves them alone.
CREATE TABLE iceberg_objects (
    bucket TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    table_id BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    checksum BIGINT NOT NULL, -- CRC-32C of the object
    version BIGINT NOT NULL, -- of the metadata, the first that needs it
    removed_version BIGINT, -- the first that needs it no more
    created_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, key)
);
CREATE INDEX idx_iceberg_objects_table_id ON iceberg_objects (table_id, removed_version);

-- The views stand where those of DuckLake do.
SELECT set_config('siltstone.home', current_setting('search_path'), true);
SELECT set_config('search_path', format('%I, %I', n.nspname, current_schema()), true)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'ducklake_data_file' AND n.nspname IN (
    CASE current_schema() WHEN 'public' THEN 'lake' ELSE current_schema() || '_lake' END, current_schema())
ORDER BY n.nspname = current_schema() LIMIT 1;

CREATE VIEW iceberg_tables AS
SELECT CAST('siltstone' AS TEXT) AS catalog_name, CAST('topics' AS TEXT) AS table_namespace, t.name AS table_name,
    h.metadata_location, h.previous_metadata_location, CAST('TABLE' AS TEXT) AS iceberg_type
FROM topics AS t JOIN iceberg_heads AS h ON h.table_id = t.table_id
UNION ALL
SELECT 'siltstone', 'quarantine', t.name, h.metadata_location, h.previous_metadata_location, 'TABLE'
FROM topics AS t JOIN iceberg_heads AS h ON h.table_id = t.quarantine_table_id;

CREATE VIEW iceberg_namespace_properties AS
SELECT CAST('siltstone' AS TEXT) AS catalog_name, CAST('topics' AS TEXT) AS namespace,
    CAST('exists' AS TEXT) AS property_key, CAST('true' AS TEXT) AS property_value
UNION ALL SELECT 'siltstone', 'quarantine', 'exists', 'true';

DO $$
DECLARE
    lake TEXT := current_schema();
BEGIN
    IF current_setting('search_path') <> current_setting('siltstone.home') AND EXISTS (
        SELECT 1 FROM pg_roles WHERE rolname = lake || '_reader') THEN
        EXECUTE format('GRANT SELECT ON iceberg_tables, iceberg_namespace_properties TO %I', lake || '_reader');
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'no right to let the role % read the views', lake || '_reader';
END $$;
SELECT set_config('search_path', current_setting('siltstone.home'), true);
