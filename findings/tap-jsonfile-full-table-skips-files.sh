#!/usr/bin/env bash
# Package:   tap-jsonfile 0.1.2 with singer-sdk 0.54.9 (PyPI).
# Behaviour: its stream has no replication key, so it is a FULL_TABLE stream; yet its bookmark holds the
#            hashes of the files that it has read, and with that state it leaves them out. A read without
#            a row means "unchanged", not "empty".
# Seen:      first read two records, second read with the state of the first none; exit 0 both times.
source "$(dirname "$0")/lib.sh"
install tap-jsonfile==0.1.2 singer-sdk==0.54.9

printf '{"id": 1}\n{"id": 2}\n' >rows.jsonl
echo "{\"paths\": [\"$folder/rows.jsonl\"]}" >config.json
tap-jsonfile --config config.json >first.jsonl 2>tap.log
grep '"STATE"' first.jsonl | tail -n 1 | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["value"]))' >state.json
tap-jsonfile --config config.json --state state.json >second.jsonl 2>tap.log
expect "records of the first read" "$(grep -c '"RECORD"' first.jsonl)" 2
expect "records of the second" "$(grep -c '"RECORD"' second.jsonl || true)" 0
