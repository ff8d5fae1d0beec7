"""Publish over HTTP with nothing but Python's standard library.

    siltstone topic create orders --column id:int64 --column amount:float64
    siltstone up                       in another terminal, then
    python3 examples/publish_http.py

SILTSTONE_URL is the server, SILTSTONE_TOKEN a bearer token if it asks for one.
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("SILTSTONE_URL", "http://127.0.0.1:8081")
TOKEN = os.environ.get("SILTSTONE_TOKEN")


def publish(topic, records, acks="committed", attempts=10):
    """Sends the records, and repeats a request that was not answered under the same key: nothing is stored twice.
    Returns the place of each record."""
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": str(uuid.uuid4())}
    if TOKEN:
        headers["Authorization"] = "Bearer " + TOKEN
    body = "\n".join(json.dumps(record) for record in records).encode()
    request = urllib.request.Request("%s/v1/topics/%s/records?acks=%s" % (URL, topic, acks), body, headers)
    for attempt in range(attempts):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["records"]
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:  # the answer says what to mend
                raise SystemExit("refused with status %d: %s" % (error.code, error.read().decode()))
        except OSError:
            pass  # no answer: the records may or may not be stored
        time.sleep(min(0.1 * 2**attempt, 5))
    raise SystemExit("not answered after %d attempts" % attempts)


if __name__ == "__main__":
    places = publish("orders", [{"id": number, "amount": number / 4} for number in range(1000)])
    print("%d records are in SQL, the last at offset %d" % (len(places), places[-1]["offset"]))
