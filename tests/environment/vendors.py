#!/usr/bin/env python3
"""APIs of vendors on 127.0.0.1, as far as the manifests in shims/ ask for them: Python's standard library only.

    vendors.py [PORT]    default 18090; 0 takes a free port

The first line on stdout is the base URL; each vendor is a path below it. Their bad days are theirs:
a rate limit with Retry-After at the first request of a list, a 500 at its second page, a page with
nothing on it, access tokens that last two seconds, refresh tokens that work once. Answers differ
between two runs only in what was asked before. GET /requests has all requests so far.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LOCK = threading.Lock()
REQUESTS = []
HAPPENED = set()
# Access tokens with the time of their end, and the refresh tokens that still work.
ACCESS = {}
REFRESH = {"fake-refresh-0"}
JOBS = {}


def once(*what):
    """Whether this has not happened before."""
    with LOCK:
        new = what not in HAPPENED
        HAPPENED.add(what)
        return new


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status, headers=None):
        super().__init__(status)
        self.status, self.headers = status, headers or {}


def moody(name, page):
    """A rate limit at the first request of a list, a failure at its second page."""
    if once(name, "limited"):
        raise Refused(429, {"Retry-After": "1", "ratelimit-reset": "1"})
    if page == 1 and once(name, "broken"):
        raise Refused(500)


def cut(rows, start, size):
    """One page."""
    return rows[start : start + size]


def day(number):
    """A time on a day of January or February 2024."""
    return "2024-%02d-%02dT12:00:00" % (1 + (number - 1) // 31, 1 + (number - 1) % 31)


def seconds(number):
    """The same in seconds since 1970."""
    return 1704110400 + (number - 1) * 86400


def stripe(call):
    """Newest first, pages behind an id."""
    call.bearer("sk_test_fake")
    name = call.parts[1]
    rows = [
        {"id": f"{name}_{n}", "object": name, "created": seconds(n), "metadata": {}, "amount": n * 100}
        for n in range(60, 0, -1)
    ]
    least, most = int(call.query.get("created[gte]", 0)), int(call.query.get("created[lte]", 2**40))
    rows = [row for row in rows if least <= row["created"] <= most]
    after = call.query.get("starting_after")
    start = next((i + 1 for i, row in enumerate(rows) if row["id"] == after), 0)
    moody(name, 1 if after else 0)
    # A page is smaller here than any that is asked for.
    page = cut(rows, start, 7)
    return {"object": "list", "data": page, "has_more": start + 7 < len(rows)}


def airtable(call):
    """Two bases with a table each; tokens that are renewed."""
    if call.parts == ["oauth2", "v1", "token"]:
        return call.renew(rotates=True)
    call.token()
    if call.parts == ["v0", "meta", "bases"]:
        moody("bases", 0)
        return {"bases": [{"id": f"app{n}", "name": f"Base {n}", "permissionLevel": "read"} for n in (1, 2)]}
    if call.parts[:3] == ["v0", "meta", "bases"]:
        base = call.parts[3]
        return {"tables": [{"id": f"tbl{base[3:]}", "name": "People", "primaryFieldId": "fld1", "fields": []}]}
    table = call.parts[2]
    start = int(call.query.get("offset", "itr/0").split("/")[1])
    moody(table, start // 10)
    time.sleep(0.3)
    rows = [{"id": f"rec{n}", "createdTime": day(1) + ".000Z", "fields": {"Name": f"ä {n}"}} for n in range(25)]
    answer = {"records": cut(rows, start, 10)}
    if start + 10 < 40:
        # The last page has nothing on it.
        answer["offset"] = f"itr/{start + 10}"
    return answer


def hubspot(call):
    """The search API, and owners."""
    call.bearer("pat-fake")
    if call.parts == ["crm", "v3", "owners"]:
        moody("owners", 0)
        return {"results": [{"id": str(n), "email": f"o{n}@example.com", "archived": False} for n in (1, 2)]}
    name = call.parts[3]
    asked = call.body["filterGroups"][0]["filters"][0]
    least, most = int(asked["value"]), int(asked["highValue"])
    rows = [
        {"id": str(n), "updatedAt": day(n) + ".000Z", "createdAt": day(n) + ".000Z", "archived": False,
         "properties": {name: n}}
        for n in range(1, 41)
        if least <= seconds(n) * 1000 <= most
    ]
    start = int(call.body.get("after", 0))
    moody(name, 1 if start else 0)
    answer = {"total": len(rows), "results": cut(rows, start, 3)}
    if start + 3 < len(rows):
        answer["paging"] = {"next": {"after": str(start + 3)}}
    return answer


def sheets(call):
    """Two sheets, of which one is empty."""
    if call.parts == ["token"]:
        return call.renew(rotates=False)
    call.token()
    if len(call.parts) == 3:
        moody("sheets", 0)
        titles = ["Täglich & mehr", "Leer"]
        return {"sheets": [{"properties": {"sheetId": n, "title": t, "index": n}} for n, t in enumerate(titles)]}
    sheet = call.parts[4]
    moody(sheet, 1)
    if sheet == "Leer":
        return {"range": "Leer!A1:Z1000", "majorDimension": "ROWS"}
    return {"values": [["Name", "Count", "", "Name"], ["a", 1, True, "x"], [], ["b", 2.5], ["c"]]}


def gitlab(call):
    """Two projects, of which one has no merge requests."""
    if call.headers.get("PRIVATE-TOKEN") != "glpat-fake":
        raise Refused(401)
    parts = call.parts[2:]
    page = int(call.query.get("page", 1))
    if parts == ["projects"]:
        moody("projects", page - 1)
        return [{"id": n, "path_with_namespace": f"group/p{n}"} for n in (1, 2)] if page == 1 else []
    project, kind = int(parts[1]), parts[2]
    if (project, kind) == (2, "merge_requests"):
        raise Refused(403)
    moody(f"{kind} of {project}", page - 1)
    after = call.query.get("updated_after", "")
    count = 50 if project == 1 else 3
    rows = [
        {"id": project * 1000 + n, "iid": n, "project_id": project, "title": f"{kind} {n}",
         "updated_at": day(n % 40 + 1) + ".500Z"}
        for n in range(count)
    ]
    rows = sorted((row for row in rows if row["updated_at"] >= after), key=lambda row: row["updated_at"])
    # With 50 rows, the second page has nothing on it.
    return cut(rows, (page - 1) * 50, 50)


def pinterest(call):
    """Reports that take their time."""
    if call.parts == ["v5", "oauth", "token"]:
        return call.renew(rotates=False)
    if call.parts[0] == "files":
        _, start, end = call.parts[1].split("_")
        lines = [
            {"AD_ACCOUNT_ID": "549", "CAMPAIGN_ID": "1", "DATE": day(n)[:10], "TOTAL_IMPRESSION": n}
            for n in range(1, 46)
            if start <= day(n)[:10] <= end
        ]
        return "".join(json.dumps(line) + "\n" for line in lines)
    call.token()
    if call.parts == ["v5", "ad_accounts"]:
        moody("accounts", 0)
        return {"items": [{"id": "549", "name": "Shop", "country": "DE", "currency": "EUR"}], "bookmark": None}
    if call.method == "POST":
        job = f"job_{call.body['start_date']}_{call.body['end_date']}"
        if once("job", "broken"):
            raise Refused(500)
        JOBS[job] = 0
        return {"report_status": "IN_PROGRESS", "token": job}
    job = call.query["token"]
    JOBS[job] += 1
    if JOBS[job] < 2:
        return {"report_status": "IN_PROGRESS"}
    return {"report_status": "FINISHED", "url": f"{call.base}/pinterest/files/{job}", "size": 1}


def pagerduty(call):
    """Pages at an offset."""
    if call.headers.get("Authorization") != "Token token=pd-fake":
        raise Refused(401)
    name, start = call.parts[0], int(call.query.get("offset", 0))
    moody(name, start // 25)
    since, until = call.query.get("since", ""), call.query.get("until", "9")
    rows = [
        {"id": f"P{n}", "incident_number": n, "title": f"{name} {n}", "created_at": day(n % 40 + 1) + "Z"}
        for n in range(50)
        if since <= day(n % 40 + 1) + "Z" <= until
    ]
    return {name: cut(rows, start, 25), "offset": start, "limit": 25, "more": start + 25 < len(rows)}


def pokeapi(call):
    """Berries."""
    names = [f"berry-{n}" for n in range(1, 26)]
    if len(call.parts) == 3:
        start = int(call.query.get("offset", 0))
        moody("berries", start // 20)
        return {"count": 25, "results": [{"name": name, "url": name} for name in cut(names, start, 20)]}
    name = call.parts[3]
    return {"id": int(name.split("-")[1]), "name": name, "growth_time": 3, "size": 20}


VENDORS = {f.__name__: f for f in (stripe, airtable, hubspot, sheets, gitlab, pinterest, pagerduty, pokeapi)}


class Call(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        self.method = self.command
        self.query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        vendor, *self.parts = [unquote(part) for part in url.path.split("/") if part] or [""]
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.headers.get("Content-Type", "").startswith("application/json"):
            self.body = json.loads(content)
        else:
            self.body = {name: values[-1] for name, values in parse_qs(content).items()}
        if vendor == "requests":
            return self.answer(200, REQUESTS)
        with LOCK:
            REQUESTS.append({"vendor": vendor, "path": self.path, "query": self.query, "body": self.body})
        if vendor not in VENDORS:
            return self.answer(404, {"message": "there is no such vendor"})
        try:
            return self.answer(200, VENDORS[vendor](self))
        except Refused as refused:
            return self.answer(refused.status, {"message": "refused"}, refused.headers)

    do_POST = do_GET

    def bearer(self, token):
        """Wants this token."""
        if self.headers.get("Authorization") != f"Bearer {token}":
            raise Refused(401)

    def renew(self, rotates):
        """A new access token for a refresh token, which may work only once."""
        given = self.body.get("refresh_token")
        with LOCK:
            if given not in REFRESH:
                raise Refused(400)
            number = len(ACCESS) + 1
            ACCESS[f"access-{number}"] = time.time() + 2
            answer = {"access_token": f"access-{number}", "expires_in": 2, "token_type": "Bearer"}
            if rotates:
                REFRESH.remove(given)
                answer["refresh_token"] = f"fake-refresh-{number}"
                REFRESH.add(answer["refresh_token"])
            return answer

    def token(self):
        """Wants an access token that has not expired long since, or one that never does."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given != "pat-fake" and ACCESS.get(given, 0) + 5 < time.time():
            raise Refused(401)

    def answer(self, status, body, headers=None):
        """Sends JSON, or text as it is."""
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments):
        """Says nothing: the tests' output is for the tests."""


def main():
    """Serves until it is stopped."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 18090
    server = ThreadingHTTPServer(("127.0.0.1", port), Call)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
