-- Topics as tables of Iceberg, published after the commits: the state of each table, the objects of its metadata, and two
-- views in the layout of Iceberg's SQL catalogs, through which nobody can write.

-- The newest metadata of a table.
CREATE TABLE iceberg_heads (
    table_id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL, -- one more with each publication
    metadata_location TEXT NOT NULL,
    previous_metadata_location TEXT,
    bucket TEXT NOT NULL,
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
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    table_id BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    checksum BIGINT NOT NULL, -- CRC-32C of the object
    version BIGINT NOT NULL, -- of the metadata, the first that needs it
    removed_version BIGINT, -- the first that needs it no more
    created_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, key)
);
CREATE INDEX idx_iceberg_objects_table_id ON iceberg_objects (table_id, removed_version);

CREATE VIEW iceberg_tables AS
SELECT 'siltstone' AS catalog_name, 'topics' AS table_namespace, t.name AS table_name, h.metadata_location,
    h.previous_metadata_location, 'TABLE' AS iceberg_type
FROM topics AS t JOIN iceberg_heads AS h ON h.table_id = t.table_id
UNION ALL
SELECT 'siltstone', 'quarantine', t.name, h.metadata_location, h.previous_metadata_location, 'TABLE'
FROM topics AS t JOIN iceberg_heads AS h ON h.table_id = t.quarantine_table_id;

CREATE VIEW iceberg_namespace_properties AS
SELECT 'siltstone' AS catalog_name, 'topics' AS namespace, 'exists' AS property_key, 'true' AS property_value
UNION ALL SELECT 'siltstone', 'quarantine', 'exists', 'true';
