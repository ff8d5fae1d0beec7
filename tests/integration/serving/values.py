"""Values of every type as PostgreSQL's drivers read them: in both formats, as results and as parameters."""

import datetime
import decimal
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import psycopg
from clients import Doors

doors = Doors(*sys.argv[1:])
D = decimal.Decimal
UTC = datetime.timezone.utc
INF = float("inf")
MIDNIGHT = datetime.datetime(2020, 1, 1, tzinfo=UTC)
NOON = datetime.datetime(2020, 1, 1, 12, 0, 0, 500000)
AT = "(TIMESTAMP '2020-01-01 00:00:00' AT TIME ZONE 'UTC')"

# Expressions, and what the driver must read of them in either format.
RESULTS = [
    ("true", True),
    ("1::tinyint", 1),
    ("(-128)::tinyint", -128),
    ("[1::tinyint, NULL, 2::tinyint]", [1, None, 2]),
    ("200::smallint", 200),
    ("[200::smallint]", [200]),
    ("[2147483647::int, -1::int]", [2147483647, -1]),
    ("9223372036854775807", 9223372036854775807),
    ("[9223372036854775807, NULL]", [9223372036854775807, None]),
    ("arrow_cast(200, 'UInt8')", 200),
    ("arrow_cast(65535, 'UInt16')", 65535),
    ("arrow_cast(4294967295, 'UInt32')", 4294967295),
    ("18446744073709551615", D(18446744073709551615)),
    ("[arrow_cast(200, 'UInt8')]", [200]),
    ("[arrow_cast(4294967295, 'UInt32')]", [4294967295]),
    ("arrow_cast(0.5, 'Float16')", 0.5),
    ("0.5::real", 0.5),
    ("[0.5::real, NULL]", [0.5, None]),
    ("0.1::double", 0.1),
    ("'inf'::double", INF),
    ("[0.1::double, '-inf'::double]", [0.1, -INF]),
    ("1.50::decimal(10,2)", D("1.50")),
    ("-0.05::decimal(3,2)", D("-0.05")),
    ("arrow_cast('0.5', 'Decimal256(76, 70)')", D("0.5")),
    ("arrow_cast(arrow_cast('0.5', 'Decimal128(38, 30)'), 'Dictionary(Int32, Decimal128(38, 30))')", D("0.5")),
    ("'a\"b,{c}\\\\'", "a\"b,{c}\\\\"),
    ("['a b', '', NULL, 'NULL', 'a\"b,{c}\\\\', 'ä']", ["a b", "", None, "NULL", "a\"b,{c}\\\\", "ä"]),
    ("arrow_cast('x', 'Utf8View')", "x"),
    ("arrow_cast('x', 'LargeUtf8')", "x"),
    ("arrow_cast('x', 'Dictionary(Int32, Utf8)')", "x"),
    ("arrow_cast(1::tinyint, 'Dictionary(Int32, Int8)')", 1),
    ("arrow_cast([1, 2], 'LargeList(Int64)')", [1, 2]),
    ("arrow_cast([1, 2], 'FixedSizeList(2, Int64)')", [1, 2]),
    ("[true, false, NULL]", [True, False, None]),
    ("[1.50::decimal(10,2), NULL, -0.05::decimal(10,2)]", [D("1.50"), None, D("-0.05")]),
    ("[12345678901234567.89::decimal(38,2)]", [D("12345678901234567.89")]),
    ("[arrow_cast('0.5', 'Decimal256(76, 70)')]", [D("0.5")]),
    ("[18446744073709551615]", [D(18446744073709551615)]),
    ("[DATE '0001-01-01', NULL]", [datetime.date(1, 1, 1), None]),
    ("[TIME '01:02:03.000004']", [datetime.time(1, 2, 3, 4)]),
    ("[TIMESTAMP '2020-01-01 12:00:00.5', NULL]", [NOON, None]),
    ("[" + AT + " AT TIME ZONE 'Asia/Kolkata']", [MIDNIGHT]),
    ("[INTERVAL '1 day 1.5 seconds', NULL]", [datetime.timedelta(days=1, seconds=1.5), None]),
    ("[x'00ff', x'']", [b"\x00\xff", b""]),
    ("[NULL]", [None]),
    ("[[1, 2], [3]]", [[1, 2], [3]]),
    ("x'00ff'", b"\x00\xff"),
    ("arrow_cast(x'00ff', 'BinaryView')", b"\x00\xff"),
    ("arrow_cast(x'00ff', 'LargeBinary')", b"\x00\xff"),
    ("arrow_cast(x'00ff', 'FixedSizeBinary(2)')", b"\x00\xff"),
    ("DATE '0001-01-01'", datetime.date(1, 1, 1)),
    ("arrow_cast(DATE '9999-12-31', 'Date64')", datetime.date(9999, 12, 31)),
    ("TIMESTAMP '1500-01-01'", datetime.datetime(1500, 1, 1)),
    ("TIMESTAMP '9999-12-31'", datetime.datetime(9999, 12, 31)),
    ("'2400-01-01'::timestamp", datetime.datetime(2400, 1, 1)),
    ("TIME '01:02:03.000004'", datetime.time(1, 2, 3, 4)),
    ("arrow_cast(TIME '01:02:03', 'Time32(Second)')", datetime.time(1, 2, 3)),
    ("arrow_cast(TIME '01:02:03', 'Time32(Millisecond)')", datetime.time(1, 2, 3)),
    ("TIMESTAMP '2020-01-01 12:00:00.5'", NOON),
    ("arrow_cast(TIMESTAMP '2020-01-01 12:00:00.5', 'Timestamp(Millisecond, None)')", NOON),
    (AT, MIDNIGHT),
    (AT + " AT TIME ZONE 'Asia/Kolkata'", MIDNIGHT),
    (AT + " AT TIME ZONE 'America/St_Johns'", MIDNIGHT),
    (AT + " AT TIME ZONE '-00:30'", MIDNIGHT),
    (AT + " AT TIME ZONE 'Asia/Kathmandu'", MIDNIGHT),
    ("arrow_cast(" + AT + " AT TIME ZONE 'Asia/Kolkata', 'Timestamp(Second, Some(\"Asia/Kolkata\"))')", MIDNIGHT),
    ("INTERVAL '1 day 1.5 seconds'", datetime.timedelta(days=1, seconds=1.5)),
    ("arrow_cast(1500, 'Duration(Millisecond)')", datetime.timedelta(seconds=1.5)),
    ("arrow_cast(2, 'Duration(Second)')", datetime.timedelta(seconds=2)),
    ("named_struct('a', 1::tinyint, 'b', ['x'])", {"a": 1, "b": ["x"]}),
    ("NULL", None),
]

# Statements with values, and the answer of either format of results.
PARAMETERS = [
    ("SELECT %s", [5], 5),
    ("SELECT %s", [3000000000], 3000000000),
    ("SELECT %s", [D("1.50")], D("1.50")),
    ("SELECT %s", [D("-12345678901234567890123456789012345.123456")], D("-12345678901234567890123456789012345.123456")),
    ("SELECT %s", [D("1e-40")], D("1e-40")),
    ("SELECT %s", [D("1e20")], D("1e20")),
    ("SELECT %s", [0.1], 0.1),
    ("SELECT %s", [True], True),
    ("SELECT %s", [b"\x00\xff"], b"\x00\xff"),
    ("SELECT %s", ["x"], "x"),
    ("SELECT %s", [datetime.date(2020, 1, 1)], datetime.date(2020, 1, 1)),
    ("SELECT %s", [MIDNIGHT], MIDNIGHT),
    ("SELECT substr('abc', %s)", [2], "bc"),
    ("SELECT %s", [NOON], NOON),
    ("SELECT %s", [None], None),
    ("SELECT [%s, %s]", [1, 2], [1, 2]),
    ("SELECT %s", [[D("1.5"), None]], [D("1.5"), None]),
    ("SELECT %s", [[datetime.date(2020, 1, 1)]], [datetime.date(2020, 1, 1)]),
    ("SELECT %s", [[MIDNIGHT]], [MIDNIGHT]),
    ("SELECT %s", [[b"\x00\xff"]], [b"\x00\xff"]),
    ("SELECT [%s, %s]", [1, 100000], [1, 100000]),
    ("SELECT %s", [[1, None, 3]], [1, None, 3]),
    ("SELECT %s + 1", [5], 6),
    ("SELECT coalesce(%s, 7)", [None], 7),
    ("SELECT %s::decimal(10,2)", [D("1.50")], D("1.50")),
    ("SELECT count(*) FROM (VALUES (1), (2), (3000000000)) AS t(n) WHERE n = ANY(%s)", [[1, 3000000000, 7]], 2),
    ("SELECT count(*) FROM (VALUES (1), (2), (3000000000)) AS t(n) WHERE n = ANY(%s)", [[1, 2]], 2),
    ("SELECT count(*) FROM (VALUES (1), (2)) AS t(n) WHERE n = ANY(%s)", [[]], 0),
    ("SELECT count(*) FROM (VALUES (1), (2)) AS t(n) WHERE NOT n = ANY(%s)", [[1]], 1),
    ("SELECT count(*) FROM (VALUES (1), (2)) AS t(n) WHERE n <> ALL(%s)", [[1, 5]], 1),
    ("SELECT count(*) FROM (VALUES (1), (2)) AS t(n) WHERE n > ANY(%s)", [[1, 5]], 1),
    ("SELECT count(*) FROM (VALUES ('a'), ('b,c'), ('')) AS t(s) WHERE s = ANY(%s)", [["b,c", "", "NULL"]], 2),
    ("SELECT count(*) FROM (VALUES (1.50::decimal(10,2))) AS t(d) WHERE d = ANY(%s)", [[D("1.5")]], 1),
    ("SELECT count(*) FROM (VALUES (DATE '2020-01-01')) AS t(d) WHERE d = ANY(%s)", [[datetime.date(2020, 1, 1)]], 1),
    ("SELECT count(*) FROM (SELECT " + AT + " AS m) AS t WHERE m = ANY(%s)", [[MIDNIGHT]], 1),
    ("SELECT count(*) FROM (VALUES (true)) AS t(b) WHERE b = ANY(%s)", [[False, True]], 1),
    ("SELECT count(*) > 0 FROM orders WHERE status = ANY(%s)", [["paid", "none"]], True),
]

wrong = []


def same(found, expected):
    return type(found) is type(expected) and found == expected


with psycopg.connect(doors.conninfo, autocommit=True) as connection:
    for binary in (False, True):
        for expression, expected in RESULTS:
            with connection.cursor(binary=binary) as cursor:
                try:
                    found = cursor.execute("SELECT " + expression).fetchone()[0]
                except psycopg.Error as error:
                    found = error
            if not same(found, expected):
                wrong.append(("binary" if binary else "text", expression, found))
        for form in ("%s", "%t", "%b"):
            for sql, values, expected in PARAMETERS:
                # Only text leaves a type open.
                if form == "%b" and (None in values or [] in values):
                    continue
                with connection.cursor(binary=binary) as cursor:
                    try:
                        found = cursor.execute(sql.replace("%s", form), values).fetchone()[0]
                    except psycopg.Error as error:
                        found = error
                if not same(found, expected):
                    wrong.append(("binary" if binary else "text", form, sql, values, found))

    # A value in a list is no more altered than one alone.
    for sql, values in [("SELECT 1 WHERE 1 = ANY(%s)", [[1.5]]), ("SELECT 1 WHERE 1 = ANY(%s)", ["1"]), ("SELECT %s", [D("NaN")])]:
        for form in ("%t", "%b"):
            try:
                found = connection.execute(sql.replace("%s", form), values).fetchall()
                wrong.append((form, sql, values, found))
            except psycopg.Error as error:
                if "parameter" not in str(error):
                    wrong.append((form, sql, values, error))

assert not wrong, "\n".join(map(repr, wrong))
