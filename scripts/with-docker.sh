#!/usr/bin/env bash
# Runs a command with a Docker engine of its own, which leaves the host's network alone, and with an
# image of a few of this machine's programs. Needs root and Debian's package docker.io.
#   scripts/with-docker.sh cargo test -p commontrace-sandbox engine
set -euo pipefail

command -v dockerd >/dev/null || { echo "error: no dockerd; install the package docker.io" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "error: starting an engine needs root" >&2; exit 1; }

place=$(mktemp -d /tmp/commontrace-docker-XXXXXX)
engine=
finish() {
    if [ -n "$engine" ]; then
        kill "$engine" 2>/dev/null || true
        wait "$engine" 2>/dev/null || true
    fi
    rm -rf "$place"
}
trap finish EXIT

dockerd --host "unix://$place/docker.sock" --data-root "$place/data" --exec-root "$place/exec" \
    --pidfile "$place/docker.pid" --bridge=none --iptables=false --ip6tables=false --ip-forward=false \
    --ip-masq=false >"$place/log" 2>&1 </dev/null &
engine=$!
export DOCKER_HOST="unix://$place/docker.sock"
for _ in $(seq 100); do
    docker version >/dev/null 2>&1 && break
    kill -0 "$engine" 2>/dev/null || { cat "$place/log" >&2; exit 1; }
    sleep 0.2
done

# An image without any registry: programs and the libraries that they need.
root=$place/root
mkdir -p "$root/bin" "$root/etc"
for program in sh true sleep cat cp ls id head env perl; do
    path=$(command -v "/bin/$program" || command -v "/usr/bin/$program")
    cp -L "$path" "$root/bin/"
    ldd "$path" | grep -oE '/[^ ]+' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -Ln "$library" "$root$library"
    done
done
image=commontrace-sandbox-test:local
tar -C "$root" -c . | docker import - "$image" >/dev/null

export COMMONTRACE_TEST_DOCKER_SOCKET="$place/docker.sock"
export COMMONTRACE_TEST_DOCKER_IMAGE="$image"
"$@"
