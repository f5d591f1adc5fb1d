#!/usr/bin/env bash
# Package:   airbyte-cdk 7.39.1 (PyPI).
# Behaviour: a state that the connector printed itself is handed back, with "namespace": "" added to its
#            descriptor, as stores do that keep absent text as empty text. It is ignored without a word,
#            and everything is read again. A null namespace is fine.
# Seen:      a cursor at 2024-01-02: with no namespace or a null one the request says since=2024-01-02,
#            with an empty one since=2023-12-01, the start date; exit 0 each time, no warning.
source "$(dirname "$0")/lib.sh"
install airbyte-cdk==7.39.1

cat >server.py <<'PYTHON'
import http.server, json
class Api(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        with open("requests.txt", "a") as requests:
            requests.write(self.path + "\n")
    def do_GET(self):
        body = json.dumps({"rows": [{"id": 1, "at": "2024-01-01"}, {"id": 2, "at": "2024-01-02"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
serve
cat >manifest.yaml <<YAML
version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [rows]}
streams:
  - type: DeclarativeStream
    name: rows
    schema_loader: {type: InlineSchemaLoader, schema: {type: object, properties: {id: {type: integer}, at: {type: string}}}}
    retriever:
      type: SimpleRetriever
      requester: {type: HttpRequester, url_base: "http://127.0.0.1:$port", path: /rows, http_method: GET}
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: [rows]}}
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: at
      datetime_format: "%Y-%m-%d"
      start_datetime: {type: MinMaxDatetime, datetime: "2023-12-01", datetime_format: "%Y-%m-%d"}
      start_time_option: {type: RequestOption, inject_into: request_parameter, field_name: since}
spec: {type: Spec, connection_specification: {type: object, properties: {}}}
YAML
echo '{}' >config.json
catalog incremental rows >catalog.json

# since STATE: what a read from this state asks the server for.
since() {
    rm -f requests.txt
    source-declarative-manifest read --config config.json --catalog catalog.json --manifest-path manifest.yaml ${1:+--state "$1"} >out.jsonl
    sed 's/.*since=//' requests.txt
}
expect "the first read" "$(since)" 2023-12-01
last_state out.jsonl >plain.json
sed 's/"name": "rows"/"name": "rows", "namespace": null/' plain.json >null.json
sed 's/"name": "rows"/"name": "rows", "namespace": ""/' plain.json >empty.json
expect "no namespace" "$(since plain.json)" 2024-01-02
expect "a null namespace" "$(since null.json)" 2024-01-02
expect "an empty namespace" "$(since empty.json)" 2023-12-01
expect "warnings" "$(grep -c '"level":"WARN"' out.jsonl || true)" 0
