"""Read a topic as a member of a consumer group over HTTP, with nothing but Python's standard library.

    python3 examples/publish_http.py
    python3 examples/consume_http.py

Start it several times at once: the members share the partitions. It ends when there was no record for QUIET seconds.
SILTSTONE_URL is the server, SILTSTONE_TOKEN a bearer token if it asks for one.
"""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ.get("SILTSTONE_URL", "http://127.0.0.1:8081")
TOKEN = os.environ.get("SILTSTONE_TOKEN")
LEASE = 30.0
QUIET = 2.0


class Lost(Exception):
    """A partition went to another member, or the membership is over: what was not committed is read again by somebody."""


def ask(method, path, body=None):
    """The answer to a request."""
    headers = {"Content-Type": "application/json"}
    if TOKEN:
        headers["Authorization"] = "Bearer " + TOKEN
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method), timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 409:
            raise Lost(error.read().decode()) from error
        raise SystemExit("status %d: %s" % (error.code, error.read().decode())) from error


def consume(group, topic, process):
    """Gives the records of this member's partitions to `process`, and commits them after it returned."""
    members = "/v1/groups/%s/members" % urllib.parse.quote(group, safe="")
    me, held, joined_at, last_at = None, {}, 0.0, time.monotonic()
    while time.monotonic() - last_at < QUIET:
        if time.monotonic() - joined_at > min(1.0, LEASE / 3):
            answer = ask("POST", members, {"member": me, "topics": [topic], "lease_ms": int(LEASE * 1000)})
            me, joined_at = answer["member"], time.monotonic()
            now = {(claim["partition_id"], claim["generation"]): claim for claim in answer["partitions"]}
            held = {key: held.get(key, claim["committed"]) for key, claim in now.items()}
            # Everything was committed after it was processed.
            leaving = [claim for claim in answer["partitions"] if claim["is_leaving"]]
            release = [{name: claim[name] for name in ("topic", "partition_id", "generation")} for claim in leaving]
            for claim in release:
                held.pop((claim["partition_id"], claim["generation"]))
            if release:
                ask("POST", "%s/%s/offsets" % (members, me), {"release": release})
        for key, place in list(held.items()):
            start = "offset=%(offset)d&incarnation=%(incarnation)d" % place if place else "offset=begin"
            path = "/v1/topics/%s/partitions/%d/records?%s" % (urllib.parse.quote(topic, safe=""), key[0], start)
            answer = ask("GET", path + "&binary=text&wait_ms=100")
            if not answer["records"]:
                continue
            process(answer["records"])
            place = {"topic": topic, "partition_id": key[0], "generation": key[1], **answer["next"]}
            try:
                ask("POST", "%s/%s/offsets" % (members, me), {"offsets": [place]})
                held[key] = answer["next"]
            except Lost:
                held.pop(key)
            last_at = time.monotonic()
    if me:
        ask("DELETE", "%s/%s" % (members, me))


if __name__ == "__main__":
    read = []
    consume("example", "orders", read.extend)
    print("%d records, %d different ids" % (len(read), len({record["id"] for record in read})))
