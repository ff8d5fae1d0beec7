//! Types of columns, wherever a client asks for them, and lists as arrays.

use common::TopicName;
use serde_json::json;

use super::Raw;

/// The types that a topic's column may have besides lists and objects.
const PLAIN: [&str; 13] = [
    "bool",
    "int32",
    "int64",
    "float64",
    "string",
    "binary",
    "date",
    "timestamp",
    "timestamp_s",
    "timestamp_ms",
    "timestamp_us",
    "decimal(12,2)",
    "json",
];

/// All tables with the numbers of their types, as `pg_attribute` has them.
const ATTRIBUTES: &str = "SELECT n.nspname, c.relname, a.attname, a.atttypid FROM pg_catalog.pg_attribute a \
     JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typlen = a.attlen AND t.typbyval = a.attbyval \
     WHERE NOT a.attisdropped ORDER BY 1, 2, a.attnum";

/// The same, as `information_schema` has them.
const INFORMATION: &str = "SELECT c.table_schema, c.table_name, c.column_name, t.oid FROM information_schema.columns c \
     JOIN pg_catalog.pg_type t ON t.typname = c.udt_name ORDER BY 1, 2, c.ordinal_position";

/// As psql asks for a table that is named without a schema.
const FOUND: &str = "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c \
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relname OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default \
     AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3";

/// A connection to a lake with a topic `t` that has a column of each type, named by it.
async fn connected() -> Raw {
    let raw = Raw::connect().await;
    let lists = PLAIN.map(|known| format!("list({known})"));
    let nested = ["list(list(int64))", "struct(a:int64)", "list(struct(a:int64))"].map(str::to_owned);
    let types = PLAIN.map(str::to_owned).into_iter().chain(lists).chain(nested);
    let columns: Vec<_> = types.map(|known| json!({"name": known, "type": known})).collect();
    let config = json!({"format": "json", "columns": columns});
    let config = catalog::TopicConfig {
        name: "t".parse::<TopicName>().expect("a name"),
        partition_count: 1,
        retention_ms: None,
        config: serde_json::from_value(config).expect("options"),
    };
    raw.catalog.create_topic(config).await.expect("a new topic");
    raw
}

#[tokio::test]
async fn a_column_has_one_type_in_its_rows_and_in_both_catalogs() {
    let mut raw = connected().await;
    let attributes = raw.rows(ATTRIBUTES).await;
    assert!(attributes.iter().filter(|row| row[0] == "public").count() > 2 * PLAIN.len(), "{attributes:?}");
    assert_eq!(attributes, raw.rows(INFORMATION).await);
    let mut told = Vec::new();
    for table in raw.rows("SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2").await {
        for (name, number) in raw.columns(&format!("SELECT * FROM {}.{} LIMIT 0", table[0], table[1])).await {
            told.push(vec![table[0].clone(), table[1].clone(), name, number.to_string()]);
        }
    }
    assert_eq!(attributes, told);
}

#[tokio::test]
async fn a_tool_that_describes_a_table_sees_the_types_of_postgresql() {
    let mut raw = connected().await;
    let found = raw.rows(FOUND).await;
    let [table] = found.as_slice() else { panic!("one table is found, not {found:?}") };
    assert_eq!(table[1..], ["public", "t"]);
    let described = format!(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = '{}' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        table[0]
    );
    let described = raw.rows(&described).await;
    for (column, expected) in [
        ("_timestamp", "timestamp with time zone"),
        ("_headers", "json"),
        ("_key", "bytea"),
        ("date", "date"),
        ("decimal(12,2)", "numeric(12,2)"),
        ("timestamp_ms", "timestamp with time zone"),
        ("list(string)", "text[]"),
        ("list(decimal(12,2))", "numeric[]"),
        ("list(timestamp)", "timestamp with time zone[]"),
        ("list(binary)", "bytea[]"),
        ("list(list(int64))", "json"),
        ("struct(a:int64)", "json"),
    ] {
        assert!(described.contains(&vec![column.to_owned(), expected.to_owned()]), "{column}: {described:?}");
    }
    // As SQLAlchemy and psql list tables.
    let listed = "SELECT c.relname FROM pg_catalog.pg_class c WHERE pg_catalog.pg_table_is_visible(c.oid)";
    assert_eq!(raw.rows(listed).await, [["t"]]);
    let asked = format!("SELECT pg_table_is_visible({}), pg_table_is_visible(1) IS NULL", table[0]);
    assert_eq!(raw.rows(&asked).await, [["t", "t"]]);
}

#[tokio::test]
async fn times_have_microseconds_and_their_years_as_at_the_other_doors() {
    let mut raw = Raw::connect().await;
    for (sql, expected) in [
        ("SELECT TIMESTAMP '1500-01-01'", "1500-01-01 00:00:00.000000"),
        ("SELECT '2400-01-01'::timestamp", "2400-01-01 00:00:00.000000"),
        ("SELECT DATE '1500-01-01'::timestamp", "1500-01-01 00:00:00.000000"),
        ("SELECT TIMESTAMPTZ '9999-12-31'", "9999-12-31 00:00:00.000000+00"),
        ("SELECT arrow_typeof(TIMESTAMP '2026-01-01')", "Timestamp(µs)"),
        ("SELECT count(*) FROM siltstone.topics WHERE created_at < TIMESTAMP '9999-12-31'", "0"),
        // Types of PostgreSQL are known too.
        ("SELECT 'a'::pg_catalog.text", "a"),
        ("SELECT 'public'::regnamespace = oid FROM pg_namespace WHERE nspname = 'public'", "t"),
    ] {
        assert_eq!(raw.rows(sql).await, [[expected]], "{sql}");
    }
}

#[tokio::test]
async fn lists_of_plain_values_are_arrays_as_postgresql_writes_them() {
    let mut raw = Raw::connect().await;
    let text = "['a b', '', NULL, 'NULL', 'x', 'a\"b,{c}\\']";
    for (list, number, expected) in [
        ("[1.50::decimal(5,2), NULL, -0.05::decimal(5,2)]", 1231, "{1.50,NULL,-0.05}"),
        ("[12345678901234567890123456789012345.12::decimal(38,2)]", 1231, "{12345678901234567890123456789012345.12}"),
        ("[arrow_cast('0.5', 'Decimal256(76, 3)')]", 1231, "{0.500}"),
        ("[18446744073709551615]", 1231, "{18446744073709551615}"),
        ("[DATE '2020-01-01', NULL]", 1182, "{2020-01-01,NULL}"),
        ("[TIME '01:02:03']", 1183, "{01:02:03.000000}"),
        ("[TIMESTAMP '2020-01-01 12:00:00.5']", 1115, "{\"2020-01-01 12:00:00.500000\"}"),
        ("[TIMESTAMP '2020-01-01 12:00:00' AT TIME ZONE 'UTC']", 1185, "{\"2020-01-01 12:00:00.000000+00\"}"),
        ("[x'00ff', x'']", 1001, "{\"\\\\x00ff\",\"\\\\x\"}"),
        ("[true, NULL]", 1000, "{t,NULL}"),
        (text, 1009, "{\"a b\",\"\",NULL,\"NULL\",x,\"a\\\"b,{c}\\\\\"}"),
        ("[NULL]", 1009, "{NULL}"),
        ("arrow_cast([1, 2], 'FixedSizeList(2, Int64)')", 1016, "{1,2}"),
        ("[[1.5::decimal(3,1)]]", 114, "[[1.5]]"),
        ("[named_struct('a', 1)]", 114, "[{\"a\":1}]"),
    ] {
        let sql = format!("SELECT {list} AS l");
        assert_eq!(raw.columns(&sql).await, [("l".to_owned(), number)], "{list}");
        assert_eq!(raw.rows(&sql).await, [[expected]], "{list}");
    }
    let parts = "SELECT l FROM (VALUES (1, [1.5::decimal(3,1)]), (2, NULL), (3, []), (4, [2.5::decimal(3,1)])) AS t(n, l) \
                 WHERE n > 1 ORDER BY n";
    assert_eq!(raw.rows(parts).await, [["NULL"], ["{}"], ["{2.5}"]]);
    let (kinds, text) = raw.query("SELECT [arrow_cast(-1000000::int, 'Date32')]").await;
    assert!(kinds.ends_with("EZ") && text.contains("outside the years"), "{kinds} {text}");
}
