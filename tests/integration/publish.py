"""A stock NATS client as a user would write it: publishes numbered JSON messages until each is stored.

Usage: publish.py URL SUBJECT COUNT. An unconfirmed message is sent again under the same Nats-Msg-Id.
"""

import asyncio
import json
import sys

import nats

WINDOW = 1000


async def publish(stream, subject, number):
    payload = json.dumps({"n": number, "text": "order number %d" % number}).encode()
    while True:
        try:
            await stream.publish(subject, payload, timeout=5, headers={"Nats-Msg-Id": "order-%d" % number})
            return
        except (nats.errors.Error, OSError):
            await asyncio.sleep(0.2)


async def main(url, subject, count):
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    stream = client.jetstream()
    for start in range(0, int(count), WINDOW):
        numbers = range(start, min(start + WINDOW, int(count)))
        await asyncio.gather(*(publish(stream, subject, number) for number in numbers))
    await client.close()
    print("published", count)


asyncio.run(main(*sys.argv[1:]))
