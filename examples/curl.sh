#!/bin/sh
# Publish with curl: create a topic, send records, and wait until they are in SQL.
#
#     siltstone up                       in another terminal, then
#     examples/curl.sh
#
# SILTSTONE_URL is the server, SILTSTONE_TOKEN a bearer token if it asks for one.
set -eu
url=${SILTSTONE_URL:-http://127.0.0.1:8081}
authorization=${SILTSTONE_TOKEN:+Authorization: Bearer $SILTSTONE_TOKEN}

# 201: created. 409: it exists, which is as good here.
status=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' "$url/v1/topics" \
    --header "$authorization" --header 'Content-Type: application/json' \
    --data '{"name": "orders", "config": {"columns": [{"name": "id", "type": "int64"}, {"name": "amount", "type": "float64"}]}}')
case $status in 201 | 409) ;; *) echo "the topic was not created: status $status" >&2; exit 1 ;; esac

# One key for all attempts: a repetition stores nothing twice. Status 200 means that every record is committed.
curl --silent --show-error --fail-with-body --retry 10 --retry-all-errors \
    "$url/v1/topics/orders/records?acks=committed" \
    --header "$authorization" --header 'Content-Type: application/json' \
    --header "Idempotency-Key: ${IDEMPOTENCY_KEY:-order-batch-1}" \
    --data '[{"id": 1, "amount": 9.9}, {"id": 2, "amount": 5}]'
echo
