#!/usr/bin/env bash
# Runs what compose.yaml runs, without Docker: two nodes behind the balancer with its real configuration, the worker,
# PostgreSQL and Redis. Under load it kills one node, stops another and starts them again, and fails if a client notices. Safe to
# repeat; nothing is left afterwards.
#
#     scripts/rehearse-deploy.sh [--binary FILE]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
scripts=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

binary=''
if [[ ${1-} == --binary && $# == 2 ]]; then
    binary=$(realpath "$2")
elif [[ $# -gt 0 ]]; then
    die "usage: scripts/rehearse-deploy.sh [--binary FILE]"
else
    say "building the release binary"
    (cd "$scripts/.." && cargo build --release --locked --package commontrace)
    binary="${CARGO_TARGET_DIR:-$scripts/../target}/release/commontrace"
fi
[[ -x $binary ]] || die "$binary is not a program: build it, or name it with --binary"

tools=$("$scripts/fetch-deploy-tools.sh")
command -v redis-server >/dev/null || install_packages redis-server

# Its own PostgreSQL in any case: what is written here is not for a server that somebody else uses.
unset COMMONTRACE_TEST_POSTGRES_URL
exec env PATH="$tools:$PATH" "$scripts/with-postgres.sh" "$tools/python" "$scripts/rehearse_deploy.py" "$binary"
