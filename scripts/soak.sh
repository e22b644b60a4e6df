#!/usr/bin/env bash
# Breaks a scaled-out deployment part by part while it is used: sixty rounds over six kinds of kill, then every other fault.
# Fails if anything acknowledged is lost, anything answers 500, or a server of ours does not get well by itself.
#
#     scripts/soak.sh BENCH [OPTION…]     options of `commontrace-bench soak` for the sixty rounds
#
# PostgreSQL's data is on a small disk in memory that only these processes see, so that it can be filled; that needs root.
# For others the full disk is left out.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ $# -gt 0 && -x $1 ]] || die "usage: scripts/soak.sh BENCH [OPTION…]: name the commontrace-bench to run"
bench=$1
shift

say "killing each part of the deployment in turn"
"$bench" soak --rounds 60 "$@"

faults=restart-node,restart-worker,restart-postgres,lagging-standby,silent-endpoint,dry-pool
if [[ $(id -u) != 0 ]] || ! unshare --mount true 2>/dev/null; then
    say "leaving out the full disk: it needs root, to mount a small one"
    exec "$bench" soak --faults "$faults" --rounds 12
fi
say "restarting, delaying and filling parts of it"
disk=$(mktemp -d)
trap 'rmdir "$disk"' EXIT
unshare --mount --propagation private -- bash -euo pipefail -c '
    mount -t tmpfs -o size=3g,mode=0755 soak "$1"
    "$2" soak --small-disk "$1" --faults "$3,full-disk" --rounds 14
' bash "$disk" "$bench" "$faults"
