#!/usr/bin/env bash
# Proves with the real programs of hosts, from npm, that they find what `commontrace setup` writes: each is asked for
# its MCP servers after `setup` and after `setup --remove`. Needs npm and its registry the first time; no account.
#
#     scripts/hosts-check.sh [PATH OF commontrace] [FOLDER FOR THE HOSTS]
set -euo pipefail

commontrace=$(realpath "${1:-target/release/commontrace}")
hosts=$(realpath -m "${2:-${XDG_CACHE_HOME:-$HOME/.cache}/commontrace/hosts}")

# One folder for each, so that none gets the dependencies of another.
declare -A packages=(
    [claude]=@anthropic-ai/claude-code
    [codex]=@openai/codex
    [gemini]=@google/gemini-cli
    [copilot]=@github/copilot
    [opencode]=opencode-ai
)
path=/usr/local/bin:/usr/bin:/bin:$(dirname "$(command -v node)")
for host in "${!packages[@]}"; do
    bin=$hosts/$host/node_modules/.bin
    if [[ ! -x $bin/$host ]]; then
        echo "== installing ${packages[$host]} into $hosts/$host" >&2
        mkdir -p "$hosts/$host"
        (cd "$hosts/$host" && echo '{}' > package.json && npm install --no-audit --no-fund --silent "${packages[$host]}")
    fi
    path=$bin:$path
done

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
mkdir -p "$home/.local/bin" "$home/project"
cp "$commontrace" "$home/.local/bin/commontrace"
cd "$home/project"

# The hosts see this home and nothing of the user's own; none may update itself.
at_home() {
    env -i HOME="$home" PATH="$home/.local/bin:$path" TERM=dumb NO_COLOR=1 EMBEDDING_PROVIDER=none \
        GEMINI_CLI_TRUST_WORKSPACE=true DISABLE_AUTOUPDATER=1 OPENCODE_DISABLE_AUTOUPDATE=1 COPILOT_AUTO_UPDATE=false \
        timeout 120 "$@" < /dev/null
}

# What each host says of its MCP servers, and the words that it uses of one that it has started.
declare -A lists=([claude]='mcp list' [codex]='mcp list' [gemini]='mcp list' [copilot]='mcp list' [opencode]='mcp list')
declare -A started=([claude]='Connected' [codex]='enabled' [gemini]='Connected' [copilot]='commontrace' [opencode]='connected')

wrong=0
say() { printf '%-5s %-9s %-12s %s\n' "$1" "$2" "${versions[$2]}" "$3"; }
fail() { say WRONG "$@"; wrong=1; }

declare -A versions
for host in "${!packages[@]}"; do
    versions[$host]=$(at_home "$host" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -1)
done

at_home commontrace setup "${!packages[@]}" || wrong=1
for host in "${!packages[@]}"; do
    read -ra words <<< "${lists[$host]}"
    said=$(at_home "$host" "${words[@]}" 2>&1 || true)
    if grep -q "commontrace.*\|.*commontrace" <<< "$said" && grep -q "${started[$host]}" <<< "$said"; then
        say ok "$host" "$(grep -m1 commontrace <<< "$said" | sed "s#$home#~#g")"
    else
        fail "$host" "does not start the server: $said"
    fi
done
# The same twice changes nothing, also after the hosts have written their files themselves.
at_home commontrace setup "${!packages[@]}" | grep -E '^(created|updated|removed)' && wrong=1

at_home commontrace setup --remove "${!packages[@]}" || wrong=1
for host in "${!packages[@]}"; do
    read -ra words <<< "${lists[$host]}"
    if at_home "$host" "${words[@]}" 2>&1 | grep -q commontrace; then
        fail "$host" "still has the server after --remove"
    else
        say ok "$host" "has no server after --remove"
    fi
done
exit "$wrong"
