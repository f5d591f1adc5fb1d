# Sourced by the findings: a temporary folder, a virtual environment of pinned packages, and checks.
# Needs bash, python3 with venv, and PyPI. Everything stays in the folder, which goes away at the end.
set -euo pipefail

folder=$(mktemp -d)
server=
clean_up() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT
cd "$folder"

# install PACKAGE==VERSION …: into ./venv, whose programs come first in PATH.
install() {
    python3 -m venv venv
    PATH=$folder/venv/bin:$PATH
    pip install --quiet --disable-pip-version-check "$@"
}

# expect WHAT ACTUAL EXPECTED: fails where the behaviour has changed.
expect() {
    if [[ $2 != "$3" ]]; then
        printf 'CHANGED: %s\n  now:    %s\n  before: %s\n' "$1" "$2" "$3" >&2
        exit 1
    fi
    printf 'as before: %s: %s\n' "$1" "$2"
}

# serve: runs ./server.py, a Python program that prints its port on the first line; sets $port.
serve() {
    coproc SERVER { exec python3 server.py; }
    server=$SERVER_PID
    read -r port <&"${SERVER[0]}"
}

# catalog MODE STREAM …: an Airbyte configured catalog.
catalog() {
    python3 - "$@" <<'PYTHON'
import json, sys
mode, *names = sys.argv[1:]
streams = [
    {
        "stream": {"name": name, "json_schema": {"type": "object"}, "supported_sync_modes": ["full_refresh", "incremental"]},
        "sync_mode": mode,
        "destination_sync_mode": "append",
    }
    for name in names
]
print(json.dumps({"streams": streams}))
PYTHON
}

# messages FILE: an Airbyte source's output without its logs: TYPE, or for a status the status itself.
messages() {
    python3 - "$1" <<'PYTHON'
import json, sys
words = []
for line in open(sys.argv[1]):
    message = json.loads(line)
    if message["type"] == "TRACE":
        words.append(message["trace"].get("stream_status", {}).get("status", "TRACE"))
    elif message["type"] != "LOG":
        words.append(message["type"])
print(" ".join(words))
PYTHON
}

# last_state FILE: the last STATE of an output, in the form of a state file.
last_state() {
    grep '"type":"STATE"' "$1" | tail -n 1 | python3 -c 'import json, sys; print(json.dumps([json.load(sys.stdin)["state"]]))'
}
