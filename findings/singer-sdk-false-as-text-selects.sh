#!/usr/bin/env bash
# Package:   singer-sdk 0.54.9 (PyPI).
# Behaviour: in a catalog, "selected": "false" (text, as forms and environment variables make it) selects
#            the stream: any text that is not empty counts as true. The boolean false deselects it.
# Seen:      "false": SCHEMA and RECORD; false: neither.
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
echo '{}' >config.json
python3 tap.py --config config.json --discover >catalog.json 2>tap.log

# with SELECTED: how many records come with this value, given as JSON.
with() {
    python3 - "$1" <<'PYTHON'
import json, sys
catalog = json.load(open("catalog.json"))
for entry in catalog["streams"][0]["metadata"]:
    if entry["breadcrumb"] == []:
        entry["metadata"]["selected"] = json.loads(sys.argv[1])
json.dump(catalog, open("selected.json", "w"))
PYTHON
    python3 tap.py --config config.json --catalog selected.json 2>tap.log | grep -c RECORD || true
}
expect "records with false" "$(with false)" 0
expect "records with the text \"false\"" "$(with '"false"')" 1
