# shellcheck shell=bash
# What the scripts of this directory share: messages, the cache directory and system packages.
# Sourced by bash scripts that have set `-euo pipefail`; it does nothing on its own.

# Prints one line about what is being done. Standard error, so that a script's output stays usable.
say() {
    printf '== %s\n' "$*" >&2
}

# Prints what failed and what to do about it, then ends the script.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The directory for what can be fetched again: models, the test PostgreSQL, tools.
cache_dir() {
    printf '%s/commontrace\n' "${XDG_CACHE_HOME:-${HOME:?"HOME is not set: set it, or XDG_CACHE_HOME"}/.cache}"
}

# True if `pip` can be run by the first python3 in PATH.
have_pip() {
    python3 -m pip --version >/dev/null 2>&1
}

# True if a C program that uses the standard library can be compiled and linked.
have_c_compiler() {
    command -v cc >/dev/null && echo '#include <stdio.h>
int main(void) { return puts("") < 0; }' | cc -x c -o /dev/null - 2>/dev/null
}

# Installs Debian packages. Asks for nothing; uses sudo when not root.
install_packages() {
    command -v apt-get >/dev/null || die "this machine has no apt-get: install the equivalents of \`$*\` by hand, then repeat"
    local as_root=()
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null || die "system packages are missing: run \`apt-get install $*\` as root, then repeat"
        as_root=(sudo)
    fi
    say "installing system packages: $*"
    local log
    log=$(mktemp)
    if ! {
        "${as_root[@]}" apt-get update -qq &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        die "apt-get could not install \`$*\` (full log: $log): install them by hand, then repeat"
    fi
    rm -f "$log"
}
