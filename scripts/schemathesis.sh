#!/usr/bin/env bash
# Tests the running server against its own /openapi.json with Schemathesis: made-up requests, valid and invalid, alone
# and in sequences, with all of its checks. Safe to repeat; the server and its data are gone afterwards.
#
#     scripts/schemathesis.sh [--binary FILE] [--max-examples N] [--seed N]
#
# It runs as an ordinary account, as a moderator, and once for each of the two operations that make the key in use
# invalid (rotate and revoke): in the other runs they would turn every later request into a 401.
# Ends with 0 if no answer was a 5xx and no check failed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly version=4.32.5
readonly ends_the_key='^/api/v1/keys/(rotate|current)$'

scripts=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
binary='' options=()
while [[ $# -gt 0 ]]; do
    [[ $# -ge 2 ]] || die "usage: scripts/schemathesis.sh [--binary FILE] [--max-examples N] [--seed N]"
    case $1 in
    --binary) binary=$(realpath "$2") ;;
    --max-examples | --seed) options+=("$1" "$2") ;;
    *) die "unknown option $1: scripts/schemathesis.sh [--binary FILE] [--max-examples N] [--seed N]" ;;
    esac
    shift 2
done

if [[ -z $binary ]]; then
    say "building the release binary"
    (cd "$scripts/.." && cargo build --release --locked --package commontrace)
    binary="${CARGO_TARGET_DIR:-$scripts/../target}/release/commontrace"
fi
[[ -x $binary ]] || die "$binary is not a program: build it, or name it with --binary"

venv="$(cache_dir)/schemathesis-$version"
if ! "$venv/bin/schemathesis" --version >/dev/null 2>&1; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
    say "installing Schemathesis $version into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "schemathesis==$version"
fi

# The machine's proxy cannot reach this machine.
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

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

# Nothing of the user's own settings reaches the server, and its limits are out of the way.
run=(env -i HOME="$work" PATH="$PATH" COMMONTRACE_DATA_DIR="$work/data" COMMONTRACE_LISTEN=127.0.0.1:0
    EMBEDDING_PROVIDER=none RATE_LIMIT_READ_PER_MINUTE=10000000 RATE_LIMIT_WRITE_PER_MINUTE=10000000
    RATE_LIMIT_REGISTER_PER_HOUR=10000000 RATE_LIMIT_FAILED_KEYS_PER_MINUTE=10000000
    RATE_LIMIT_RECORD_PER_MINUTE=10000000 COMMONTRACE_FINALIZE_WAIT_SECONDS=0 NO_COLOR=1 "$binary")
: >"$work/log"
"${run[@]}" serve 2>"$work/log" &
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
    "$venv/bin/python" - "$url" <<'PY'
import json, sys, urllib.request

request = urllib.request.Request(
    sys.argv[1] + "/api/v1/keys", data=b"{}", headers={"Content-Type": "application/json"}
)
print(json.load(urllib.request.urlopen(request))["api_key"])
PY
}

failed=0
# Runs Schemathesis with a key.
check() {
    local name=$1 key=$2
    shift 2
    say "as $name"
    # Its reports would land in the working directory.
    (cd "$work" && "$venv/bin/schemathesis" --config-file "$scripts/schemathesis.toml" run "$url/openapi.json" \
        --checks all --continue-on-failure --no-color \
        --header "X-API-Key: $key" "${options[@]}" "$@") || failed=1
}

check "an ordinary account" "$(register)" --exclude-path-regex "$ends_the_key"
check "a moderator" "$("${run[@]}" admin create-moderator | sed -n 's/^api_key: //p')" --exclude-path-regex "$ends_the_key"
# One request each succeeds; a single operation has no sequences.
for path in /api/v1/keys/rotate /api/v1/keys/current; do
    check "an account that gives its key up at $path" "$(register)" --include-path "$path" \
        --phases examples,coverage,fuzzing
done

say "answers by status, as the server counted them:"
"$venv/bin/python" - "$url" <<'PY' || failed=1
import collections, re, sys, urllib.request

text = urllib.request.urlopen(sys.argv[1] + "/metrics").read().decode()
counts = collections.Counter()
for labels, count in re.findall(r"^commontrace_http_requests_total\{(.*)\} (\d+)$", text, re.M):
    counts[re.search(r'status_code="(\d+)"', labels)[1]] += int(count)
print("  ".join(f"{status}: {count}" for status, count in sorted(counts.items())))
sys.exit(any(status.startswith("5") for status in counts))
PY
if grep -q panicked "$work/log"; then
    grep panicked "$work/log" >&2
    failed=1
fi
exit "$failed"
