#!/usr/bin/env bash
# Records every set anew:  scripts/record-commands/record-all.sh TOOLS   (record.py says what has to be in the folder TOOLS)
set -euo pipefail
[[ $# -eq 1 ]] || { echo "usage: $0 TOOLS" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
if [[ -z ${DOCKER_HOST-} ]]; then exec "$here/../with-docker.sh" "$0" "$1"; fi
if [[ -z ${COMMONTRACE_TEST_POSTGRES_URL-} ]]; then exec "$here/../with-postgres.sh" "$0" "$1"; fi
out="$here/../../crates/commontrace/tests/data/commands"
mkdir -p "$out"
for set in failing unanswered successful dev-failing dev-unanswered dev-successful; do
    traces=()
    case $set in
    failing) traces=(--traces "$here/cases/traces.txt") ;;
    dev-failing) traces=(--traces "$here/cases/dev-traces.txt") ;;
    esac
    "$here/record.py" "$here/cases/$set.txt" "$out/$set.json" --tools "$1" "${traces[@]}"
done
