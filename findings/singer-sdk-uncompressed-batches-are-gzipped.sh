#!/usr/bin/env bash
# Package:   singer-sdk 0.54.9 (PyPI).
# Behaviour: with `batch_config.encoding.compression: none` the BATCH message says "none", but the file is
#            gzipped, as its name says too.
# Seen:      {"format":"jsonl","compression":"none"}, a file NAME.json.gz that begins with the bytes 1f 8b.
source "$(dirname "$0")/lib.sh"
install singer-sdk==0.54.9

cat >tap.py <<'PYTHON'
from singer_sdk import Stream, Tap, typing as th

class Rows(Stream):
    name = "rows"
    schema = th.PropertiesList(th.Property("id", th.IntegerType)).to_dict()
    def get_records(self, context):
        yield {"id": 1}

class TapRows(Tap):
    name = "tap-rows"
    config_jsonschema = th.PropertiesList().to_dict()
    def discover_streams(self):
        return [Rows(tap=self)]

TapRows.cli()
PYTHON
mkdir batches
cat >config.json <<JSON
{"batch_config": {"encoding": {"format": "jsonl", "compression": "none"}, "storage": {"root": "file://$folder/batches"}}}
JSON
python3 tap.py --config config.json >out.jsonl 2>tap.log
expect "what the message says" "$(grep -o '"compression":"[a-z]*"' out.jsonl)" '"compression":"none"'
expect "what the file begins with" "$(head -c 2 batches/* | od -An -tx1 | tr -d ' ')" 1f8b
