#!/usr/bin/env bash
# Drives `commontrace mcp` and `/mcp` of a server with the official clients of the Model Context Protocol: every tool, every
# revision that a client can speak, over both transports. Safe to repeat; the clients are installed into a temporary folder
# from PyPI and npm, and removed with the server and its data at the end.
#
#     scripts/mcp-conformance.sh [--binary FILE]
#
# Each row is one client in one revision: how many tools it was shown, how many calls it made, and how many things were
# not as the protocol or the tool has them, a message that the client did not like among them. Ends with 0 if none was.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly python_client=2.3.0 npm_sdk=1.32.2 npm_client=2.4.0 npm_inspector=2.12.0
readonly with_initialize=(2024-11-05 2025-03-26 2025-06-18 2025-11-25) all=(2024-11-05 2025-03-26 2025-06-18 2025-11-25 2026-07-28)

scripts=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
binary=''
while [[ $# -gt 0 ]]; do
    [[ $# -ge 2 && $1 == --binary ]] || die "usage: scripts/mcp-conformance.sh [--binary FILE]"
    binary=$(realpath "$2")
    shift 2
done
if [[ -z $binary ]]; then
    say "building the release binary"
    (cd "$scripts/.." && cargo build --release --locked --package commontrace)
    binary="${CARGO_TARGET_DIR:-$scripts/../target}/release/commontrace"
fi
[[ -x $binary ]] || die "$binary is not a program: build it, or name it with --binary"
command -v npm >/dev/null || die "npm is not installed; the clients of npm need Node.js 20 or newer"

work=$(mktemp -d)
server=''
stop() {
    local status=$?
    if [[ -n $server ]]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "installing the clients into $work"
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "mcp==$python_client"
mkdir "$work/node"
(cd "$work/node" && npm install --silent --no-fund --no-audit "@modelcontextprotocol/sdk@$npm_sdk" \
    "@modelcontextprotocol/client@$npm_client" "@modelcontextprotocol/inspector@$npm_inspector")

# Nothing of the user's own settings reaches the programs, and the machine's proxy cannot reach this machine.
clean=(env -i HOME="$work" PATH="$PATH" NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 EMBEDDING_PROVIDER=none
    COMMONTRACE_LOG=warn NO_COLOR=1)
: >"$work/log"
"${clean[@]}" COMMONTRACE_LOG=info COMMONTRACE_DATA_DIR="$work/data" COMMONTRACE_LISTEN=127.0.0.1:0 \
    RATE_LIMIT_REGISTER_PER_HOUR=1000000 "$binary" serve 2>"$work/log" &
server=$!
url=''
for ((tries = 300; tries > 0; tries--)); do
    url=$(sed -n 's|.*serving on \(http://[^ ]*\).*|\1|p' "$work/log")
    [[ -z $url ]] || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
[[ -n $url ]] || die "the server did not start: $(cat "$work/log")"

# Registers an account and prints its key.
register() {
    "${clean[@]}" "$work/venv/bin/python" - "$url" <<'PY'
import json, sys, urllib.request

request = urllib.request.Request(
    sys.argv[1] + "/api/v1/keys", data=b"{}", headers={"Content-Type": "application/json"}
)
print(json.load(urllib.request.urlopen(request))["api_key"])
PY
}

failed=0 row=0
# Runs one client, with an account or a store of its own, and prints a row: NAME TRANSPORT REVISION COMMAND...
drive() {
    local name=$1 transport=$2 revision=$3 told
    shift 3
    row=$((row + 1))
    told=$(cd "$work/node" && "${clean[@]}" COMMONTRACE_DATA_DIR="$work/data-$row" MCP_COMMAND="$binary" MCP_URL="$url/mcp" \
        MCP_KEY="$(register)" timeout 120 "$@" 2>"$work/stderr") || true
    "$work/venv/bin/python" - "$name" "$transport" "$revision" "$told" "$work/stderr" <<'PY' || failed=1
import json, sys

name, transport, revision, told, stderr = sys.argv[1:]
try:
    told = json.loads(told)
except ValueError:
    told = {"tools": 0, "calls": 0, "wrong": [open(stderr).read()[-2000:] or "it ended without a word"]}
print(f"| {name} | {transport} | {revision} | {told['tools']} | {told['calls']} | {len(told['wrong'])} |")
for wrong in told["wrong"]:
    print(wrong, file=sys.stderr)
sys.exit(bool(told["wrong"]))
PY
}

echo "| client | transport | revision | tools | calls | errors |"
echo "|---|---|---|---|---|---|"
for transport in stdio http; do
    for revision in "${all[@]}"; do
        drive "PyPI mcp $python_client" "$transport" "$revision" "$work/venv/bin/python" "$scripts/mcp/client.py" "$transport" "$revision"
    done
    for revision in "${with_initialize[@]}"; do
        drive "npm sdk $npm_sdk" "$transport" "$revision" node "$scripts/mcp/client.mjs" sdk "$transport" "$revision"
    done
    for revision in "${all[@]}"; do
        drive "npm client $npm_client" "$transport" "$revision" node "$scripts/mcp/client.mjs" client "$transport" "$revision"
    done
    drive "inspector $npm_inspector" "$transport" 2025-11-25 "$work/venv/bin/python" "$scripts/mcp/inspector.py" "$transport" legacy
    drive "inspector $npm_inspector" "$transport" 2026-07-28 "$work/venv/bin/python" "$scripts/mcp/inspector.py" "$transport" modern
done
exit "$failed"
