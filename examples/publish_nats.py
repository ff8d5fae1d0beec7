"""Publish to a NATS subject with nats-py; Siltstone's writer does the rest.

    pip install nats-py
    export QUEUE_TYPE=nats
    siltstone topic create orders --column id:int64 --column amount:float64
    siltstone up                       in another terminal, then
    python3 examples/publish_nats.py

NATS_URL is the server.
"""

import asyncio
import json
import os

import nats


async def main():
    client = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    stream = client.jetstream()
    for number in range(100):
        record = json.dumps({"id": number, "amount": number / 4}).encode()
        # The id lets the stream recognise a repetition, so that a message is stored once.
        ack = await stream.publish("orders", record, headers={"Nats-Msg-Id": "order-%d" % number})
    print("100 records are in stream %s, the last at offset %d" % (ack.stream, ack.seq))
    await client.close()


asyncio.run(main())
