#!/usr/bin/env bash
# Runs a command against a PostgreSQL server of its own, which is gone when the command has ended.
#
#     scripts/with-postgres.sh [--durable] [-c NAME=VALUE]… COMMAND [ARGUMENT…]
#
# The command finds the server's address in COMMONTRACE_TEST_POSTGRES_URL; its role is a superuser and may create
# databases. If that variable is set already, the server it names is used and none is started.
#
# Each run has its own data directory and its own socket, so several can run at once. The server is stopped when the
# command ends, when this script is interrupted or terminated, and (by the kernel) when this script is killed.
# Nothing survives a run, so the server does not wait for the disk (fsync=off) unless `--durable` asks for it.
# Each `-c` is a setting of the server.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

durable=off
settings=()
while [[ ${1-} == --durable || ${1-} == -c ]]; do
    if [[ $1 == --durable ]]; then
        durable=on
    else
        settings+=(-c "${2-}")
        shift
    fi
    shift
done
[[ $# -gt 0 ]] || die "usage: scripts/with-postgres.sh [--durable] [-c NAME=VALUE]… COMMAND [ARGUMENT…]"

if [[ -n ${COMMONTRACE_TEST_POSTGRES_URL-} ]]; then
    say "using the PostgreSQL server of COMMONTRACE_TEST_POSTGRES_URL"
    exec "$@"
fi

bin=$("$(dirname "${BASH_SOURCE[0]}")/fetch-postgres.sh")

# A directory in use is locked by its script and its server. What has lost its lock was left by a run that was killed,
# and goes now. `guard` keeps a run that starts at the same moment from taking a new directory for an old one.
base="${TMPDIR:-/tmp}/commontrace-postgres"
exec {guard}>"$base.$(id -u).guard"
flock "$guard"
for old in "$base".*/; do
    if [[ -O $old/lock ]] && flock --nonblock "$old/lock" true; then rm -rf "$old"; fi
done
dir=$(mktemp -d "$base.XXXXXX")
exec {lock}>"$dir/lock"
flock "$lock"
exec {guard}>&-
trap 'rm -rf "$dir"' EXIT
# The address of a Unix socket has 107 bytes at most.
[[ ${#dir} -le 80 ]] || die "the path of TMPDIR is too long for a socket: set TMPDIR to a shorter one"

server='' command=''

# The process and all its descendants, parents first.
tree() {
    local child
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$child"; done
}

stop() {
    local status=$?
    trap '' INT TERM HUP
    if [[ -n $command ]]; then
        # A command that has ended has no tree any more; one that has not was left by a signal.
        # shellcheck disable=SC2046
        kill -TERM $(tree "$command") 2>/dev/null || true
        wait "$command" 2>/dev/null || true
    fi
    if [[ -n $server ]]; then
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        kill -INT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$dir"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

as_user=(setpriv --pdeathsig INT)
if [[ $(id -u) == 0 ]]; then
    # PostgreSQL refuses to run as root.
    as_user+=(--reuid "$(id -u nobody)" --regid "$(id -g nobody)" --clear-groups)
    chown nobody "$dir"
fi

(
    cd "$dir"
    "${as_user[@]}" "$bin/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1
) || die "initdb failed: $(cat "$dir/initdb.log")"

cd_back=$PWD
cd "$dir"
"${as_user[@]}" "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses='' -c max_connections=400 \
    -c fsync="$durable" -c synchronous_commit="$durable" -c full_page_writes="$durable" "${settings[@]}" \
    </dev/null >>"$dir/log" 2>&1 &
server=$!
cd "$cd_back"

# Half a minute at most; a machine under load needs a few seconds.
for ((tries = 300; ; tries--)); do
    if "$bin/pg_isready" --quiet --host="$dir"; then break; fi
    if ! kill -0 "$server" 2>/dev/null || ((tries == 0)); then die "PostgreSQL did not start: $(tail -n 20 "$dir/log")"; fi
    sleep 0.1
done
say "PostgreSQL $("$bin/postgres" --version | cut -d' ' -f3) started for this run, fsync=$durable"

export COMMONTRACE_TEST_POSTGRES_URL="postgres://postgres@localhost/postgres?host=$dir"

# In the background, because only so does a signal reach this script while the command runs; with this script's input
# and with SIGINT as a command in the foreground has it. The lock is not for the command: it may leave a daemon behind.
setpriv --pdeathsig TERM env --default-signal=INT,QUIT "$@" <&0 {lock}>&- &
command=$!
status=0
wait "$command" || status=$?
command=''
exit "$status"
