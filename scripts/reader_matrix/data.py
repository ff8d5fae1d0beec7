"""The topics of a lake and the messages of each stage, with the number of rows and refused records that they must become.

Owns: columns, payloads, and the count of what was published. Does not own: publishing (`lake`).
"""

import base64
import json

TYPES, ORDERS, RAW, LINES, KEPT, EMPTY, BUSY = "types", "Orders", "raw-values", "lines", "kept", "empty", "busy"
ODD = "a.b%c"  # no name for a stream of NATS: only where the queue is in memory
TABLES = (TYPES, ORDERS, RAW, LINES, KEPT, EMPTY)

# A column of every type, each also inside of lists and structs.
TYPE_COLUMNS = (
    "id:int64!", "n:int32", "d:float64", "amount:decimal(12,2)", "wide:decimal(38,10)", "ok:bool", "name:string",
    "raw:binary", "day:date", "at:timestamp", "at_s:timestamp_s", "at_ms:timestamp_ms", "at_us:timestamp_us",
    "tags:list(string)", "grid:list(list(int32))", "items:list(struct(n:int32, price:decimal(9,3), at:timestamp_ms))",
    "place:struct(lat:float64, city:string, inner:struct(x:int64, day:date, codes:list(int64)))", "doc:json",
)
CREATED = {
    TYPES: ["--partitions", "3", "--sort", "n,id", "--bloom", "name",
            *(word for column in TYPE_COLUMNS for word in ("--column", column))],
    ORDERS: ["--partitions", "2", "--column", "id:int32!", "--column", "total:decimal(12,2)", "--column", "gone:string",
             "--column", "place:struct(city:string)"],
    RAW: ["--format", "raw"],
    LINES: ["--format", "text"],
    KEPT: ["--keep-payload", "--column", "id:int64!", "--column", "note:string"],
    EMPTY: ["--format", "text"],
    ODD: ["--format", "text"],
}
PARTITIONS = {TYPES: 3, ORDERS: 2}
# A type that takes more, a column and a member of a struct more, a name, and a column less.
UPDATED = {
    ORDERS: [["--column", "id:int64!", "--column", "note:string", "--column", "place:struct(city:string, zip:int32)"],
             ["--rename-column", "note=title", "--drop-column", "gone"]],
    TYPES: [["--column", "n:int64", "--column", "added:decimal(20,4)", "--column", "seen:timestamp_ms"]],
}
BROKEN = (b"{", b'{"id":"seven"}', b'{"n":1}', b"[[1]]", b'{"id":1,"name":"\\ud83d"}', b'{"id":1,"day":"10000-01-01"}',
          b'{"id":1,"amount":0.001}', b'{"id":1,"d":1e999}')


class Message:
    """A message, and what becomes of it: rows, the sum of their column id, records in quarantine."""

    def __init__(self, topic, payload, partition=0, key=None, headers=(), rows=1, ids=0, refused=0):
        self.topic, self.payload, self.partition, self.key, self.headers = topic, payload, partition, key, dict(headers)
        self.rows, self.ids, self.refused = rows, ids, refused


def full(number):
    """A record with a value in every column; some of the values are the least or the greatest of their type."""
    time = "20%02d-0%d-1%dT0%d:59:5%d.%06dZ" % (number % 90 + 10, number % 9 + 1, number % 9, number % 9, number % 9, number)
    # Of 40 records.
    extremes = {0: (-2**31, "-9999999999.99", "-999999999999999999999999999.9999999999", "0001-01-01", -0.0),
                1: (2**31 - 1, "9999999999.99", "999999999999999999999999999.9999999999", "9999-12-31", 1.7976931348623157e308)}
    n, amount, wide, day, d = extremes.get(number % 40, (number - 20, "%d.%02d" % (number, number % 100), "%d.0000000001" % number,
                                                         time[:10], number / 4))
    return {
        "id": number, "n": n, "d": d, "amount": amount, "wide": wide, "ok": number % 2 == 0,
        "name": ["Ünï %d 🪨" % number, "%d'\"`\\ \t" % number, "nul \0 %d" % number, ""][number % 4],
        "raw": base64.b64encode(b"\x00\xff%d" % number).decode(), "day": day, "at": time, "at_s": time[:19] + "Z",
        "at_ms": 1_760_000_000_000 + number, "at_us": time, "tags": [] if number % 5 == 0 else ["a", None, "b%d" % number],
        "grid": [[1, None], [], None, [number]],
        "items": [{"n": number, "price": "1.125", "at": number}, {"n": None}, None],
        "place": {"lat": number / 8, "city": "Ü", "inner": {"x": number, "day": day, "codes": [number, None]}},
        "doc": {"k": [1, {"n": None}], "text": "☃"}, "more": {"unknown": number},
    }


def bare(number):
    """A record with nulls and absent members alone, also inside of lists and structs."""
    return [{"id": number}, {"id": number, "place": {"inner": {}}, "tags": [None], "grid": [None], "items": [None, {}]},
            {"id": number, "n": None, "d": None, "name": None, "place": None, "tags": None, "doc": None}][number % 3]


def batch(first, count=40, is_updated=False):
    """The messages of a flush: records `first` and later in every topic, and some that are refused."""
    messages = []
    for number in range(first, first + count):
        record = full(number) if number % 3 else bare(number)
        if is_updated and number % 3:
            record.update(n=number * 2**33, added="%d.0001" % number, seen=number)
        messages.append(Message(TYPES, _json(record), number % 3, b"key-%d" % (number % 7) if number % 2 else None, ids=number))
        order = {"id": number, "total": number / 4, "gone": "g%d" % number, "place": {"city": "c%d" % (number % 5)}}
        if is_updated:
            order.update(id=5_000_000_000 + number, note="t%d" % number, place={"city": None, "zip": number})
        messages.append(Message(ORDERS, _json(order), number % 2, ids=order["id"]))
        headers = {"Trace": "t-%d" % number, "Empty-ish": "ü"} if number % 2 else {}
        messages.append(Message(RAW, b"\x00\xfe raw %d" % number if number % 4 else b"plain", 0,
                                b"k%d" % number if number % 3 else None, headers))
        messages.append(Message(LINES, ("line %d\nsecond ☃ of %d\n" % (number, number)).encode(), rows=2))
    # Several records of one message: its rows share an offset.
    several = [{"id": number, "note": "n%d" % number} for number in range(first, first + count)]
    for start in range(0, count, 10):
        part = several[start:start + 10]
        messages.append(Message(KEPT, _json(part), rows=len(part), ids=sum(record["id"] for record in part)))
    messages += [Message(ODD, b"first"), Message(ODD, b"\xff", rows=0, refused=1)]
    messages += [Message(TYPES, payload, index % 3, rows=0, refused=1) for index, payload in enumerate(BROKEN)]
    messages += [Message(ORDERS, b'{"id":1.5}', 1, rows=0, refused=1), Message(KEPT, b"[]", rows=0, refused=1),
                 Message(LINES, b"good\n\xff bad\nalso good", rows=2, refused=1)]
    return messages


def _json(record):
    return json.dumps(record, ensure_ascii=False).encode()


class Published:
    """Rows, refused records and the sum of ids that a lake must have, by topic."""

    def __init__(self, topics):
        self.topics = {topic: [0, 0, 0] for topic in topics}

    def add(self, messages):
        for message in messages:
            totals = self.topics[message.topic]
            for index, part in enumerate((message.rows, message.refused, message.ids)):
                totals[index] += part

    def forget(self, topic):
        self.topics[topic] = [0, 0, 0]
