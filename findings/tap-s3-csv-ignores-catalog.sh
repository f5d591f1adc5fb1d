#!/usr/bin/env bash
# Package:   pipelinewise-tap-s3-csv 3.0.1 with pipelinewise-singer-python 1.3.0 (PyPI).
# Behaviour: `--help` offers --catalog and calls --properties deprecated; the tap reads --properties only.
#            Called with --catalog it prints nothing and exits with code 0. Given both, it works.
# Seen:      with --catalog no byte on stdout, exit 0; with both the same file is read: STATE, SCHEMA …
source "$(dirname "$0")/lib.sh"
install "setuptools<82" pipelinewise-tap-s3-csv==3.0.1 pipelinewise-singer-python==1.3.0

cat >config.json <<'JSON'
{"start_date": "2024-01-01T00:00:00Z", "bucket": "b", "aws_access_key_id": "k", "aws_secret_access_key": "s",
 "aws_endpoint_url": "http://127.0.0.1:9", "tables": [{"table_name": "t", "search_pattern": "x"}]}
JSON
cat >catalog.json <<'JSON'
{"streams": [{"tap_stream_id": "t", "stream": "t", "schema": {"type": "object", "properties": {"id": {"type": "string"}}},
  "metadata": [{"breadcrumb": [], "metadata": {"selected": true, "table-key-properties": []}}]}]}
JSON
export AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1
unset AWS_PROFILE AWS_ACCESS_KEY_ID
tap-s3-csv --help >help.txt
expect "--help calls --properties" "$(grep -ciE 'properties.*deprecated|deprecated' help.txt | sed 's/[1-9].*/deprecated/')" deprecated
expect "--help offers --catalog" "$(grep -c -- '--catalog' help.txt | sed 's/[1-9].*/yes/')" yes
code=0
tap-s3-csv --config config.json --catalog catalog.json >out.jsonl 2>tap.log || code=$?
expect "exit code with --catalog" "$code" 0
expect "bytes on stdout with --catalog" "$(wc -c <out.jsonl | tr -d ' ')" 0
# There is no server: it fails behind its first messages.
tap-s3-csv --config config.json --catalog catalog.json --properties catalog.json >out.jsonl 2>tap.log || true
expect "first messages with both" "$(head -n 2 out.jsonl | grep -oE '"type": "[A-Z]+"' | tr '\n' ' ')" '"type": "STATE" "type": "SCHEMA" '
