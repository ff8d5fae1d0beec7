"""What tools of PostgreSQL ask at connect and for their lists of tables, as they send it, and what they must find."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import psycopg
from clients import Doors

STATEMENTS = {
    "Grafana": [
        "SELECT 1",
        "SELECT current_setting('server_version_num')::int/100 as version",
        "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'",
        "select quote_ident(table_name) as \"table\" from information_schema.tables where quote_ident(table_schema) not in "
        "('information_schema', 'pg_catalog', '_timescaledb_cache', '_timescaledb_catalog', '_timescaledb_internal', "
        "'_timescaledb_config', 'timescaledb_information', 'timescaledb_experimental') and quote_ident(table_schema) IN ( "
        "SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END FROM generate_series( "
        "array_lower(string_to_array(current_setting('search_path'),','),1), "
        "array_upper(string_to_array(current_setting('search_path'),','),1) ) as i, "
        "string_to_array(current_setting('search_path'),',') s )",
        "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns WHERE CASE WHEN "
        "array_length(parse_ident('orders'),1) = 2 THEN quote_ident(table_schema) = (parse_ident('orders'))[1] AND "
        "quote_ident(table_name) = (parse_ident('orders'))[2] ELSE quote_ident(table_name) = 'orders' END",
        "SELECT created_at AS \"time\", amount FROM orders WHERE created_at BETWEEN '2020-01-01T00:00:00Z' AND "
        "'2030-01-01T00:00:00Z' ORDER BY 1 LIMIT 5",
        "SELECT date_trunc('hour', created_at) AS time, count(*) FROM orders GROUP BY 1 ORDER BY 1 LIMIT 3",
        "SELECT floor(extract(epoch from created_at)/3600)*3600 AS \"time\", avg(amount) FROM orders GROUP BY 1 ORDER BY 1 LIMIT "
        "3",
    ],
    "JDBC and Metabase": [
        "SET extra_float_digits = 3",
        "SET application_name = 'PostgreSQL JDBC Driver'",
        "BEGIN READ ONLY",
        "SELECT 1",
        "COMMIT",
        "SHOW TRANSACTION ISOLATION LEVEL",
        "SHOW search_path",
        "SHOW server_version",
        "show timezone",
        "SET SESSION TIMEZONE TO 'UTC'",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SELECT nspname AS TABLE_SCHEM, NULL AS TABLE_CATALOG FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND "
        "(nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1]) AND (nspname !~ '^pg_toast_temp_' OR "
        "nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_')) ORDER BY TABLE_SCHEM",
        "SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE n.nspname ~ '^pg_' OR n.nspname = "
        "'information_schema' WHEN true THEN CASE WHEN n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' THEN CASE "
        "c.relkind WHEN 'r' THEN 'SYSTEM TABLE' WHEN 'v' THEN 'SYSTEM VIEW' WHEN 'i' THEN 'SYSTEM INDEX' ELSE NULL END WHEN "
        "n.nspname = 'pg_toast' THEN CASE c.relkind WHEN 'r' THEN 'SYSTEM TOAST TABLE' WHEN 'i' THEN 'SYSTEM TOAST INDEX' ELSE "
        "NULL END ELSE CASE c.relkind WHEN 'r' THEN 'TEMPORARY TABLE' WHEN 'p' THEN 'TEMPORARY TABLE' WHEN 'i' THEN 'TEMPORARY "
        "INDEX' WHEN 'S' THEN 'TEMPORARY SEQUENCE' WHEN 'v' THEN 'TEMPORARY VIEW' ELSE NULL END END WHEN false THEN CASE "
        "c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'i' THEN 'INDEX' WHEN 'P' then 'PARTITIONED "
        "INDEX' WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'c' THEN 'TYPE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN "
        "'MATERIALIZED VIEW' ELSE NULL END ELSE NULL END AS TABLE_TYPE, d.description AS REMARKS, '' as TYPE_CAT, '' as "
        "TYPE_SCHEM, '' as TYPE_NAME, '' AS SELF_REFERENCING_COL_NAME, '' AS REF_GENERATION FROM pg_catalog.pg_namespace n, "
        "pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = "
        "'pg_class'::regclass) WHERE c.relnamespace = n.oid AND (false OR ( c.relkind = 'r' AND n.nspname !~ '^pg_' AND "
        "n.nspname <> 'information_schema' ) OR ( c.relkind = 'v' AND n.nspname <> 'pg_catalog' AND n.nspname <> "
        "'information_schema' ) ) ORDER BY TABLE_TYPE,TABLE_SCHEM,TABLE_NAME",
        "SELECT * FROM (SELECT current_database() AS current_database, n.nspname,c.relname,a.attname,a.atttypid,a.attnotnull OR"
        " (t.typtype = 'd' AND t.typnotnull) AS attnotnull,a.atttypmod,a.attlen,t.typtypmod,row_number() OVER (PARTITION BY "
        "a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity,nullif(a.attgenerated, '') as "
        "attgenerated,pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype FROM "
        "pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid) JOIN pg_catalog.pg_attribute a ON "
        "(a.attrelid=c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) LEFT JOIN pg_catalog.pg_attrdef def ON "
        "(a.attrelid=def.adrelid AND a.attnum = def.adnum) LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND "
        "a.attnum = dsc.objsubid) LEFT JOIN pg_catalog.pg_class dc ON (dc.oid=dsc.classoid AND dc.relname='pg_class') LEFT JOIN"
        " pg_catalog.pg_namespace dn ON (dc.relnamespace=dn.oid AND dn.nspname='pg_catalog') WHERE c.relkind in "
        "('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped AND c.relname LIKE 'orders') c WHERE true ORDER BY "
        "nspname,c.relname,attnum",
        "SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME, "
        "(information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME, "
        "information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM FROM pg_catalog.pg_class ct JOIN "
        "pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN "
        "pg_catalog.pg_index i ON ( a.attrelid = i.indrelid) JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE true "
        "AND ct.relname = 'orders' AND i.indisprimary",
        "with table_privileges as ( select NULL as role, t.schemaname as schema, t.objectname as table, "
        "pg_catalog.has_any_column_privilege(current_user, '\"' || replace(t.schemaname, '\"', '\"\"') || '\"' || '.' || '\"' || "
        "replace(t.objectname, '\"', '\"\"') || '\"', 'update') as update, pg_catalog.has_table_privilege(current_user, '\"' || "
        "t.schemaname || '\".\"' || t.objectname || '\"', 'SELECT') as select from ( select schemaname, tablename as objectname "
        "from pg_catalog.pg_tables union select schemaname, viewname as objectname from pg_views union select schemaname, "
        "matviewname as objectname from pg_matviews ) t where t.schemaname !~ '^pg_' and t.schemaname <> 'information_schema' "
        "and pg_catalog.has_schema_privilege(current_user, t.schemaname, 'usage') ) select t.* from table_privileges t",
        "SELECT c.column_name AS name, c.udt_name AS \"database-type\", c.ordinal_position - 1 AS \"database-position\", "
        "c.table_schema AS \"table-schema\", c.table_name AS \"table-name\" FROM information_schema.columns c WHERE c.table_schema "
        "!~ '^information_schema|catalog_history|pg_' ORDER BY 4, 5, 3",
    ],
    "DBeaver": [
        "SELECT current_schema(),session_user",
        "SHOW search_path",
        "SELECT version()",
        "SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE 1 = 1 AND datallowconn AND NOT datistemplate OR db.datname "
        "='siltstone' ORDER BY db.datname",
        "SELECT * FROM pg_catalog.pg_settings where name='standard_conforming_strings'",
        "SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON "
        "d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass ORDER BY nspname",
        "SELECT n.nspname = ANY(current_schemas(true)), n.nspname, t.typname FROM pg_catalog.pg_type t JOIN "
        "pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = 20",
        "SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description FROM "
        "pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem LEFT OUTER JOIN pg_catalog.pg_class c "
        "ON c.oid=t.typrelid LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid WHERE t.typname IS NOT NULL AND "
        "(c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C')",
        "SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, "
        "pg_catalog.pg_get_partkeydef(c.oid) as partition_key FROM pg_catalog.pg_class c LEFT OUTER JOIN "
        "pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass WHERE "
        "c.relnamespace=(SELECT oid FROM pg_namespace WHERE nspname='public') AND c.relkind not in ('i','I','c')",
        "SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid FROM "
        "pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid) LEFT OUTER JOIN pg_catalog.pg_attrdef"
        " ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum) LEFT OUTER JOIN pg_catalog.pg_description dsc ON "
        "(c.oid=dsc.objoid AND a.attnum = dsc.objsubid) LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND "
        "dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid WHERE NOT a.attisdropped AND "
        "c.relname='orders' ORDER BY a.attnum",
        "SELECT c.oid,c.*,t.relname as tabrelname,rt.relnamespace as refnamespace,d.description FROM pg_catalog.pg_constraint c"
        " INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid "
        "LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND "
        "d.classoid='pg_constraint'::regclass WHERE t.relname='orders' ORDER BY c.oid",
    ],
    "SQLAlchemy and others": [
        "select pg_catalog.version()",
        "select current_schema()",
        "show standard_conforming_strings",
        "SHOW client_encoding",
        "SHOW datestyle",
        "SHOW all",
        "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON "
        "pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', "
        "'p']) AND pg_catalog.pg_class.relpersistence != 't' AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND "
        "pg_catalog.pg_namespace.nspname != 'pg_catalog'",
        "SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore'",
        "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables ORDER BY 2, 3",
        "SELECT * FROM information_schema.schemata",
        "SELECT * FROM information_schema.views",
        "SELECT * FROM information_schema.table_constraints",
        "SELECT * FROM information_schema.key_column_usage",
        "SELECT pg_backend_pid()",
        "SELECT pg_is_in_recovery()",
        "SELECT current_database(), current_user",
        "SELECT has_table_privilege('orders', 'SELECT')",
        "SELECT 'orders'::regclass",
        "SELECT pg_encoding_to_char(encoding) FROM pg_database",
        "SELECT oid, typname FROM pg_type WHERE oid IN (20, 25)",
        "SELECT obj_description('orders'::regclass)",
        "SELECT set_config('application_name', 'x', false)",
        "SELECT current_setting('search_path')",
        "SELECT pg_cancel_backend(1)",
        "select inet_server_addr()",
        "SELECT now()",
        "RESET ALL",
        "DISCARD ALL",
        "SET search_path TO public",
        "SET NAMES 'UTF8'",
        "SET datestyle TO ISO",
        "START TRANSACTION READ ONLY",
        "ROLLBACK",
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "END",
    ],
}

doors = Doors(*sys.argv[1:])
for tool, statements in STATEMENTS.items():
    with psycopg.connect(doors.conninfo, autocommit=True) as connection:
        for sql in statements:
            try:
                connection.execute(sql)
            except psycopg.Error as error:
                raise SystemExit("%s: %s: %s" % (tool, sql, error))

with psycopg.connect(doors.conninfo, autocommit=True) as connection:

    def rows(sql):
        return connection.execute(sql).fetchall()

    types = rows("SELECT column_name, data_type, udt_name, numeric_precision, numeric_scale FROM information_schema.columns "
                 "WHERE table_schema = 'public' AND column_name IN ('order_id', 'amount', 'created_at', 'items') ORDER BY 1")
    assert types == [
        ("amount", "numeric", "numeric", 12, 2), ("created_at", "timestamp with time zone", "timestamptz", None, None),
        ("items", "ARRAY", "_text", None, None), ("order_id", "bigint", "int8", 64, 0)], types
    attributes = rows("SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a JOIN "
                      "pg_catalog.pg_class c ON c.oid = a.attrelid WHERE c.relname = 'orders' AND "
                      "pg_catalog.pg_table_is_visible(c.oid) AND attname IN ('order_id', 'amount', 'created_at', 'items') ORDER BY 1")
    assert attributes == [("amount", "numeric(12,2)"), ("created_at", "timestamp with time zone"), ("items", "text[]"),
                          ("order_id", "bigint")], attributes
    assert rows("SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public'") == [
        ("orders", "BASE TABLE")]
    assert rows('SELECT "information_schema"."tables"."table_name" FROM "information_schema"."tables" '
                "WHERE \"information_schema\".\"tables\".\"table_schema\" = 'quarantine'") == [("orders",)]
    for empty in ("views", "table_constraints", "key_column_usage", "routines"):
        assert rows("SELECT * FROM information_schema." + empty) == [], empty
    assert rows("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_index_keys'") == [("32",)]
    assert rows("SELECT set_config('application_name', 'x', false), obj_description(1), pg_is_in_recovery()") == [
        ("x", None, False)]
    try:
        rows("SELECT set_config('datafusion.execution.batch_size', '1', false)")
        raise SystemExit("a setting of the engine was set")
    except psycopg.Error as error:
        assert "cannot be set here" in str(error), error
