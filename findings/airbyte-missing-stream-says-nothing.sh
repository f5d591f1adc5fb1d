#!/usr/bin/env bash
# Package:   airbyte-cdk 7.39.1 (PyPI).
# Behaviour: the configured catalog names one stream, which the source does not have. The read succeeds
#            without a word about it: no status, no error, no state, exit 0.
# Seen:      no message but logs, none of them above INFO.
source does not have. Beside other streams it
#            is reported INCOMPLETE; as the only one it is not mentioned at all. Exit 0 both times.
# Seen:      alone: no message but logs, none above INFO. Beside `rows`: one INCOMPLETE.
source "$(dirname "$0")/lib.sh"
install airbyte-cdk==7.39.1

cat >manifest.yaml <<'YAML'
version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [rows]}
streams:
  - type: DeclarativeStream
    name: rows
    schema_loader: {type: InlineSchemaLoader, schema: {type: object, properties: {id: {type: integer}}}}
    retriever:
      type: SimpleRetriever
      requester: {type: HttpRequester, url_base: "http://127.0.0.1:9", path: /rows, http_method: GET}
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: []}}
spec: {type: Spec, connection_specification: {type: object, properties: {}}}
YAML
echo '{}' >config.json
catalog full_refresh gone >catalog.json

code=0
source-declarative-manifest read --config config.json --catalog catalog.json --manifest-path manifest.yaml >out.jsonl || code=$?
expect "messages beside logs" "$(messages out.jsonl)" ""
expect "logs above INFO" "$(grep -cE '"level":"(WARN|ERROR|FATAL)"' out.jsonl || true)" 0
expect "exit code" "$code" 0
