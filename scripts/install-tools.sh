#!/usr/bin/env bash
# Installs the system packages of the named tools, and only those that are missing. Safe to repeat.
#
#     scripts/install-tools.sh [cc] [git] [pip] [redis]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

missing=()
for tool in "$@"; do
    case $tool in
    # SQLite and the cryptography of TLS are compiled from C, and rustc links with the C compiler.
    cc) have_c_compiler || missing+=(gcc libc6-dev) ;;
    # Verification fetches repositories with git and applies patches that git refuses with patch.
    git) command -v git >/dev/null && command -v patch >/dev/null || missing+=(git patch) ;;
    # The embedding model and the test PostgreSQL come as Python packages. Nothing that runs later is Python.
    pip) have_pip || missing+=(python3 python3-pip) ;;
    # Tests start servers of their own. Debian's package also starts one on port 6379, which they leave alone.
    redis) [[ -n ${COMMONTRACE_TEST_REDIS_SERVER-} ]] || command -v redis-server >/dev/null || missing+=(redis-server) ;;
    *) die "usage: scripts/install-tools.sh [cc] [git] [pip] [redis]" ;;
    esac
done
[[ ${#missing[@]} == 0 ]] || install_packages "${missing[@]}"
