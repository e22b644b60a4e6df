#!/usr/bin/env bash
# Checks the dependencies against deny.toml with cargo-deny, which is built into the cache directory when missing
# (some minutes, once).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=0.20.2
home="$(cache_dir)/cargo-deny-$version"

if [[ $(cargo-deny --version 2>/dev/null) == "cargo-deny $version" ]]; then
    deny=cargo-deny
else
    deny="$home/bin/cargo-deny"
    if [[ ! -x $deny ]]; then
        say "building cargo-deny $version into $home"
        # Apart from the workspace's target directory: an interrupted build goes on where it was, a finished one is removed.
        CARGO_TARGET_DIR="$home/target" cargo install --quiet --locked --no-default-features --root "$home" \
            --version "$version" cargo-deny
        rm -rf "$home/target"
    fi
fi

# Advisories are left out: their database is a git repository elsewhere, so a run would depend on more than this tree.
exec "$deny" --locked --all-features check --hide-inclusion-graph bans licenses sources
