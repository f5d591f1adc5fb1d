#!/usr/bin/env python3
"""A small HTTP API on 127.0.0.1 for the declarative connector: Python's standard library only.

    http_source.py [PORT]    default 18080; 0 takes a free port

The first line on stdout is the base URL; then it serves until it is stopped. Every request needs
"Authorization: Bearer fake-key". Answers are {"data": [...]}, and never differ between two runs.

    /items?page=1..&since=&until=     45 items, 20 a page, with updated_at
    /shops                            3 shops
    /shops/ID/visits?since=&until=    visits of one shop, with updated_at
    /notes                            no key, with duplicates
    /broken?page=1..                  as /items, but page 2 answers 500
    /limited                          429 with Retry-After: 1 at the first request, then one row
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = 20


def moment(minute):
    """A time on 1 March 2024 or later, as the API writes it."""
    return "2024-03-%02dT%02d:%02d:00Z" % (1 + minute // 1440, minute // 60 % 24, minute % 60)


ITEMS = [
    {
        "id": n,
        "name": f"item {n}",
        "price": n * 1.25,
        "tags": [f"tag {n % 3}", "ünï"] if n % 5 else None,
        "owner": {"id": n % 4, "email": f"owner{n % 4}@example.com"},
        "updated_at": moment(n * 100),
    }
    for n in range(1, 46)
]
SHOPS = [{"id": n, "city": city} for n, city in enumerate(["Ulm", "Kyiv", "Porto"], start=1)]
NOTES = [{"text": f"note {n // 2}"} for n in range(6)]


def visits(shop):
    """The visits of one shop."""
    return [
        {"shop_id": shop, "visit": n, "updated_at": moment(shop * 1000 + n * 60)} for n in range(1, 4 + shop)
    ]


class Source(BaseHTTPRequestHandler):
    """Answers the paths that the module's text names."""

    protocol_version = "HTTP/1.1"
    limited = threading.Event()

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if self.headers.get("Authorization") != "Bearer fake-key":
            return self.answer(401, {"message": "the API key is wrong"})
        parts = [part for part in url.path.split("/") if part]
        if parts == ["broken"] and query.get("page") == "2":
            return self.answer(500, {"message": "page 2 is broken"})
        if parts == ["limited"]:
            if not self.limited.is_set():
                self.limited.set()
                return self.answer(429, {"message": "slow down"}, {"Retry-After": "1"})
            return self.answer(200, {"data": [{"id": 1}]})
        if parts in (["items"], ["broken"]):
            return self.answer(200, {"data": page(between(ITEMS, query), query)})
        if parts == ["shops"]:
            return self.answer(200, {"data": SHOPS})
        if parts == ["notes"]:
            return self.answer(200, {"data": NOTES})
        if len(parts) == 3 and parts[0] == "shops" and parts[2] == "visits" and parts[1] in ("1", "2", "3"):
            return self.answer(200, {"data": between(visits(int(parts[1])), query)})
        return self.answer(404, {"message": "there is no such path"})

    def answer(self, status, body, headers=None):
        """Sends a JSON answer."""
        content = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments):
        """Says nothing: the tests' output is for the tests."""


def between(rows, query):
    """The rows whose updated_at lies from `since` to `until`, both included."""
    since, until = query.get("since", ""), query.get("until", "9")
    return [row for row in rows if since <= row["updated_at"] <= until]


def page(rows, query):
    """One page of the rows; all of them where no page is asked for."""
    if "page" not in query:
        return rows
    start = (int(query["page"]) - 1) * PAGE
    return rows[start : start + PAGE]


def main():
    """Serves until it is stopped."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 18080
    server = ThreadingHTTPServer(("127.0.0.1", port), Source)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
