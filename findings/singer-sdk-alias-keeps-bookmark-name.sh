#!/usr/bin/env bash
# Package:   singer-sdk 0.54.9 (PyPI).
# Behaviour: `stream_maps` with `__alias__` renames a stream in its SCHEMA and RECORD messages, not in the
#            bookmarks of STATE. Who looks for the rows of the bookmark's stream finds none.
# Seen:      SCHEMA and RECORD say "mums", the bookmark says "parent".
source "$(dirname "$0")/lib.sh"
install singer-sdk==0.54.9

cat >tap.py <<'PYTHON'
from singer_sdk import Stream, Tap, typing as th

class Parent(Stream):
    name = "parent"
    replication_key = "id"
    schema = th.PropertiesList(th.Property("id", th.IntegerType)).to_dict()
    def get_records(self, context):
        yield {"id": 1}

class TapParent(Tap):
    name = "tap-parent"
    config_jsonschema = th.PropertiesList().to_dict()
    def discover_streams(self):
        return [Parent(tap=self)]

TapParent.cli()
PYTHON
echo '{"stream_maps": {"parent": {"__alias__": "mums"}}}' >config.json
python3 tap.py --config config.json >out.jsonl 2>tap.log

names() {
    python3 -c 'import json, sys
for line in open("out.jsonl"):
    message = json.loads(line)
    if message["type"] == "STATE":
        print("STATE", *message["value"]["bookmarks"])
    else:
        print(message["type"], message["stream"])' | tr '\n' ' '
}
expect "names" "$(names)" "SCHEMA mums RECORD mums STATE parent "
