#!/usr/bin/env bash
# Proves with the real programs of hosts, from npm, that they start what `commontrace setup` writes: each is asked for
# its MCP servers, then drives a session in which a command fails, with scripts/model-double.py in the place of a model. The
# events that reached the hook are listed, and whether what it said reached the model. At the end `setup --remove` must
# leave nothing. Needs npm and its registry the first time, and Python; no account and no model.
#
#     scripts/hosts-check.sh [PATH OF commontrace] [FOLDER FOR THE HOSTS]
set -euo pipefail

scripts=$(realpath "$(dirname "$0")")
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
model=
trap '[[ -z $model ]] || kill "$model"; rm -rf "$home"' EXIT
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
if at_home commontrace setup "${!packages[@]}" 2>/dev/null | grep -E '^(created|updated|removed)'; then wrong=1; fi

# From here on a recorder stands in front of the program: each hook notes its event and goes on to the program.
mv "$home/.local/bin/commontrace" "$home/.local/bin/commontrace.real"
cat > "$home/.local/bin/commontrace" << RECORDER
#!/bin/sh
[ "\$1" = hook ] || exec "$home/.local/bin/commontrace.real" "\$@"
event=\$(mktemp "$home/event.XXXXXX")
cat > "\$event"
name=\$(grep -oE '"(hook_event_name|event)": *"[^"]*"' "\$event" | head -1 | cut -d'"' -f4)
echo "\$2 \${name:-\$3}" >> "$home/events"
exec "$home/.local/bin/commontrace.real" "\$@" < "\$event"
RECORDER
chmod +x "$home/.local/bin/commontrace"
python3 "$scripts/model-double.py" "$home/port" "$home/requests" 'ls no-such-folder' &
model=$!
until [[ -s $home/port ]]; do sleep 0.1; done
url=http://127.0.0.1:$(< "$home/port")

mkdir -p "$home/.gemini"
echo '{"security":{"auth":{"selectedType":"gemini-api-key"}}}' > "$home/.gemini/settings.json"
drive() {
    case $1 in
        claude) at_home env ANTHROPIC_BASE_URL="$url" ANTHROPIC_API_KEY=none claude -p 'list it' --allowedTools Bash ;;
        codex) at_home env NO_KEY=none codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox \
            --dangerously-bypass-hook-trust -m m -c model_provider=double -c \
            "model_providers.double={name=\"double\",base_url=\"$url/v1\",wire_api=\"responses\",env_key=\"NO_KEY\"}" 'list it' ;;
        gemini) at_home env GEMINI_API_KEY=none GOOGLE_GEMINI_BASE_URL="$url" gemini --yolo -m gemini-2.5-flash -p 'list it' ;;
        copilot) at_home env COPILOT_PROVIDER_BASE_URL="$url/v1" COPILOT_PROVIDER_API_KEY=none COPILOT_MODEL=m \
            copilot -p 'list it' --allow-all-tools ;;
        opencode) at_home env OPENCODE_CONFIG_CONTENT='{"provider":{"double":{"npm":"@ai-sdk/openai-compatible","options":
            {"baseURL":"'"$url"'/v1","apiKey":"none"},"models":{"m":{"name":"m"}}}},"model":"double/m"}' opencode run 'list it' ;;
    esac
}

# What must arrive in a session in which a command fails. Copilot CLI and Codex tell of it with the event for success.
declare -A expected=(
    [claude]='SessionStart UserPromptSubmit PostToolUseFailure Stop SessionEnd'
    [codex]='SessionStart UserPromptSubmit PostToolUse Stop'
    [gemini]='SessionStart BeforeAgent AfterTool AfterAgent SessionEnd'
    [copilot]='sessionStart userPromptSubmitted postToolUse agentStop sessionEnd'
    [opencode]='session.start tool.after session.idle'
)
# Twice: what failed in the first session is said at the start of the second, by hosts that take it there.
for round in first second; do
    for host in claude codex gemini copilot opencode; do
        : > "$home/requests"
        : > "$home/events"
        drive "$host" > "$home/said" 2>&1 || { fail "$host" "ends with an error: $(tail -3 "$home/said")"; continue; }
        [[ $round == second ]] || continue
        for event in ${expected[$host]}; do
            grep -qx "$host $event" "$home/events" || fail "$host" "did not run the hook for $event"
        done
        say ok "$host" "ran hooks for $(cut -d' ' -f2 "$home/events" | tr '\n' ' ')"
        if [[ $host != opencode ]]; then
            if grep -q 'commands that failed in this project lately' "$home/requests"; then
                say ok "$host" 'gave the model what the hook said'
            else
                fail "$host" 'did not give the model what the hook said'
            fi
        fi
    done
done
mv "$home/.local/bin/commontrace.real" "$home/.local/bin/commontrace"
rm "$home/.gemini/settings.json"

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
