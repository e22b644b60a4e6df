#!/usr/bin/env bash
# Puts the load of many agents on a store of 100,000 traces, on SQLite and on a PostgreSQL of its own, and prints the
# tables of docs/benchmarks.md. Locust's reports are in load/reports. Takes some ten minutes for each engine.
#
#     scripts/load.sh [ARGUMENTS of `commontrace-bench load`…]
#
# With --database-url only the database that it names is measured; it must be empty.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
tools=$(scripts/fetch-load-tools.sh)
say "building the release binaries"
cargo build --release --locked -p commontrace
cargo build --release --locked -p commontrace-bench
bench=("${CARGO_TARGET_DIR:-target}/release/commontrace-bench" load --tools "$tools" --markdown "$@")

# The machine's proxy cannot reach this machine.
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

if [[ " $* " == *" --database-url"* ]]; then
    exec "${bench[@]}"
fi
failed=0
say "on SQLite"
"${bench[@]}" || failed=$?
say "on PostgreSQL"
# As docs/operations.md sizes a server for so many traces.
sized=(-c shared_buffers=2GB -c maintenance_work_mem=2GB -c max_wal_size=8GB)
# shellcheck disable=SC2016
scripts/with-postgres.sh --durable "${sized[@]}" bash -c '"$@" --database-url "$COMMONTRACE_TEST_POSTGRES_URL"' load "${bench[@]}" || failed=$?
exit "$failed"
