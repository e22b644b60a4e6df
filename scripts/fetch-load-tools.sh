#!/usr/bin/env bash
# Installs what the load scenarios run with and prints the folder of its programs: Locust, in a virtual environment
# below the cache directory, and Debian's wrk. Safe to repeat.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

requirements="$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../load/requirements.txt"
version=$(sed -n 's/^locust==//p' "$requirements")
home="$(cache_dir)/load-tools-$version"

command -v wrk >/dev/null || install_packages wrk
if ! "$home/bin/locust" --version >/dev/null 2>&1; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
    say "installing Locust $version into $home"
    rm -rf "$home"
    python3 -m venv "$home"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2
fi
printf '%s\n' "$home/bin"
