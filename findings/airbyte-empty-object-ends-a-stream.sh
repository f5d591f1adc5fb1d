#!/usr/bin/env bash
# Package:   airbyte-cdk 7.39.1 (PyPI), low-code connectors.
# Behaviour: an API's page holds an empty object among its rows. The rows behind it, and all later pages,
#            are not printed. Nothing says so: no log line, no COMPLETE, no INCOMPLETE, no STATE, exit 0.
# Seen:      four rows on two pages, an empty object behind the first: both pages are requested, the
#            output is STARTED RUNNING RECORD, and that is all.
source "$(dirname "$0")/lib.sh"
install airbyte-cdk==7.39.1

cat >server.py <<'PYTHON'
import http.server, json
PAGES = {"1": [{"id": 1}, {}, {"id": 2}], "2": [{"id": 3}, {"id": 4}]}
class Api(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        with open("requests.txt", "a") as requests:
            requests.write(self.path + "\n")
    def do_GET(self):
        body = json.dumps({"rows": PAGES.get(self.path.rpartition("=")[2], [])}).encode()
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
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: [rows]}}
      paginator:
        type: DefaultPaginator
        page_token_option: {type: RequestOption, inject_into: request_parameter, field_name: page}
        pagination_strategy: {type: PageIncrement, page_size: 3, start_from_page: 1, inject_on_first_request: true}
spec: {type: Spec, connection_specification: {type: object, properties: {}}}
YAML
echo '{}' >config.json
catalog full_refresh rows >catalog.json

code=0
source-declarative-manifest read --config config.json --catalog catalog.json --manifest-path manifest.yaml >out.jsonl || code=$?
expect "messages" "$(messages out.jsonl)" "STARTED RUNNING RECORD"
expect "requests" "$(tr '\n' ' ' <requests.txt)" "/rows?page=1 /rows?page=2 "
expect "exit code" "$code" 0
