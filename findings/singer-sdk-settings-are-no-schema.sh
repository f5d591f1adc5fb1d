#!/usr/bin/env bash
# Package:   singer-sdk 0.54.9 and jsonschema 4.25.1 (PyPI).
# Behaviour: the settings that `--about --format=json` prints for every tap are no valid JSON Schema: an
#            `anyOf` of the built-in setting stream_maps lists the bare text "null" among its schemas.
# Seen:      a tap without settings of its own: the metaschema refuses the document, at
#            properties/stream_maps.
source "$(dirname "$0")/lib.sh"
install singer-sdk==0.54.9 jsonschema==4.25.1

cat >tap.py <<'PYTHON'
from singer_sdk import Tap, typing as th

class TapBare(Tap):
    name = "tap-bare"
    config_jsonschema = th.PropertiesList().to_dict()
    def discover_streams(self):
        return []

TapBare.cli()
PYTHON
python3 tap.py --about --format=json >about.json 2>tap.log
where() {
    python3 -c 'import json
from jsonschema import Draft202012Validator
settings = json.load(open("about.json"))["settings"]
validator = Draft202012Validator(Draft202012Validator.META_SCHEMA)
print(*sorted({"/".join(map(str, list(error.absolute_path)[:2])) for error in validator.iter_errors(settings)}))'
}
expect "where it is invalid" "$(where)" "properties/stream_maps"
