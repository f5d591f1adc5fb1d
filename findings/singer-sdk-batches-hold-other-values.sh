#!/usr/bin/env bash
# Package:   singer-sdk 0.54.9 (PyPI).
# Behaviour: the same row of the same tap differs by the way it takes. As a RECORD message it is conformed
#            to its schema; in a BATCH file it is not: a time without zone gets no zone, and a column that
#            the schema does not declare stays.
# Seen:      RECORD {"id":1,"at":"2024-01-01T12:00:00.000000+00:00"}
#            BATCH  {"id":1,"at":"2024-01-01T12:00:00","extra":1}
source "$(dirname "$0")/lib.sh"
install singer-sdk==0.54.9

cat >tap.py <<'PYTHON'
import datetime
from singer_sdk import Stream, Tap, typing as th

class Rows(Stream):
    name = "rows"
    schema = th.PropertiesList(th.Property("id", th.IntegerType), th.Property("at", th.DateTimeType)).to_dict()
    def get_records(self, context):
        yield {"id": 1, "at": datetime.datetime(2024, 1, 1, 12), "extra": 1}

class TapRows(Tap):
    name = "tap-rows"
    config_jsonschema = th.PropertiesList().to_dict()
    def discover_streams(self):
        return [Rows(tap=self)]

TapRows.cli()
PYTHON
mkdir batches
echo '{}' >messages.json
cat >files.json <<JSON
{"batch_config": {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": "file://$folder/batches"}}}
JSON
python3 tap.py --config messages.json 2>tap.log | grep RECORD >record.json
python3 tap.py --config files.json >out.jsonl 2>tap.log
row() { python3 -c 'import json, sys; row = json.load(sys.stdin); print(json.dumps(row.get("record", row), separators=(",", ":")))'; }
expect "the row as a message" "$(row <record.json)" '{"id":1,"at":"2024-01-01T12:00:00.000000+00:00"}'
expect "the row in a file" "$(gunzip -c batches/* | row)" '{"id":1,"at":"2024-01-01T12:00:00","extra":1}'
