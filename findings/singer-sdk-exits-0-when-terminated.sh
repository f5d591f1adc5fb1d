#!/usr/bin/env bash
# Package:   singer-sdk 0.54.9 (PyPI).
# Behaviour: a tap that gets SIGTERM in the middle of a stream stops reading, prints its STATE and exits
#            with code 0, as it does at the end of all streams.
# Seen:      fewer than 1000 of 1000 rows, then a STATE, exit 0.
source "$(dirname "$0")/lib.sh"
install singer-sdk==0.54.9

cat >tap.py <<'PYTHON'
import time
from singer_sdk import Stream, Tap, typing as th

class Rows(Stream):
    name = "rows"
    replication_key = "id"
    is_sorted = True
    schema = th.PropertiesList(th.Property("id", th.IntegerType)).to_dict()
    def get_records(self, context):
        for id in range(1, 1001):
            yield {"id": id}
            time.sleep(0.05)

class TapRows(Tap):
    name = "tap-rows"
    config_jsonschema = th.PropertiesList().to_dict()
    def discover_streams(self):
        return [Rows(tap=self)]

TapRows.cli()
PYTHON
echo '{}' >config.json
python3 tap.py --config config.json >out.jsonl 2>tap.log &
tap=$!
until grep -q RECORD out.jsonl; do sleep 0.2; done
kill -TERM "$tap"
code=0
wait "$tap" || code=$?
expect "exit code" "$code" 0
expect "the last message" "$(tail -n 1 out.jsonl | grep -o '"type":"[A-Z]*"' | head -n 1)" '"type":"STATE"'
expect "all rows were read" "$([[ $(grep -c RECORD out.jsonl) -lt 1000 ]] && echo no || echo yes)" no
