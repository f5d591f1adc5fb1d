#!/usr/bin/env bash
# Package:   airbyte-cdk 7.39.1 (PyPI), low-code connectors.
# Behaviour: a stream is reported COMPLETE before the STATE that covers its records. Who stops reading at
#            COMPLETE never gets that state.
# Seen:      a full refresh of two rows: STARTED RUNNING RECORD RECORD COMPLETE STATE, and the STATE says
#            that it counts the two records.
source "$(dirname "$0")/lib.sh"
install airbyte-cdk==7.39.1

cat >server.py <<'PYTHON'
import http.server
class Api(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass
    def do_GET(self):
        body = b'[{"id": 1}, {"id": 2}]'
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
    schema_loader: {type: InlineSchemaLoader, schema: {type: object, properties: {id: {type: integer}}}}
    retriever:
      type: SimpleRetriever
      requester: {type: HttpRequester, url_base: "http://127.0.0.1:$port", path: /rows, http_method: GET}
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: []}}
spec: {type: Spec, connection_specification: {type: object, properties: {}}}
YAML
echo '{}' >config.json
catalog full_refresh rows >catalog.json

source-declarative-manifest read --config config.json --catalog catalog.json --manifest-path manifest.yaml >out.jsonl
expect "messages" "$(messages out.jsonl)" "STARTED RUNNING RECORD RECORD COMPLETE STATE"
expect "records that the state counts" "$(grep -o '"recordCount":[0-9.]*' out.jsonl)" '"recordCount":2.0'
