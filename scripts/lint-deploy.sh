#!/usr/bin/env bash
# Checks Dockerfile, compose.yaml and the files in deploy/ as far as that goes without Docker. Safe to repeat.
#
#     scripts/lint-deploy.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=$(scripts/fetch-deploy-tools.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
# Runs a check, which is quiet as long as nothing is wrong.
check() {
    say "$1"
    shift
    "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2 && failed=1; }
}

# An alert's text may be longer than the lines of the code.
yaml_rules='{extends: default, rules: {document-start: disable, braces: {max-spaces-inside: 1},
    line-length: {max: 120}, comments: {min-spaces-from-content: 1}}}'

check "Dockerfile" "$tools/hadolint" Dockerfile
check "compose.yaml and YAML in deploy/" "$tools/yamllint" --strict --config-data "$yaml_rules" compose.yaml deploy
check "compose.yaml against the Compose specification" \
    "$tools/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml


# What the schema cannot see: that everything compose.yaml refers to is there.
references() {
    "$tools/python" - <<'PY'
import os, re, sys, yaml

text = open("compose.yaml").read()
compose, example = yaml.safe_load(text), open(".env.example").read()
missing = [f"variable {name} in .env.example" for name in re.findall(r"\$\{(\w+)", text)
           if not re.search(rf"^#?{name}=", example, re.M)]
for name, service in compose["services"].items():
    needed = [("services", other) for other in service.get("depends_on", [])]
    needed += [("networks", network) for network in service["networks"]]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("./"):
            missing += [] if os.path.exists(source) else [f"{name}: {source}"]
        else:
            needed.append(("volumes", source))
    missing += [f"{name}: {kind} {other}" for kind, other in needed if other not in compose[kind]]
    missing += [f"{name}: {key}" for key in ("healthcheck", "cap_drop", "read_only", "restart") if key not in service]
print("missing:", *sorted(set(missing)), sep="\n  ")
sys.exit(1 if missing else 0)
PY
}
check "what compose.yaml refers to" references

check "alert rules" "$tools/promtool" check rules deploy/prometheus/alerts.yml
check "cases of the alert rules" "$tools/promtool" test rules deploy/prometheus/alerts.test.yml
sed "s|/etc/prometheus/|$PWD/deploy/prometheus/|" deploy/prometheus/prometheus.yml >"$work/prometheus.yml"
check "what Prometheus asks" "$tools/promtool" check config "$work/prometheus.yml"

# The name server and the nodes exist within Docker only.
scripts/local-haproxy-config.sh 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 127.0.0.1:4 >"$work/haproxy.cfg"
check "balancer" "$tools/haproxy" -c -f "$work/haproxy.cfg"

# The dashboard's queries as the rules of a file, so that promtool reads them.
dashboard_queries() {
    "$tools/python" - "$work/queries.yml" deploy/grafana/dashboards/*.json <<'PY' && "$tools/promtool" check rules "$work/queries.yml"
import json, sys

rules = []
for path in sys.argv[2:]:
    dashboard = json.load(open(path))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels), f"{path}: two panels have the same id"
    for panel in panels:
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "prometheus", f"{path}: {panel['title']}: unknown data source"
            query = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            assert "$" not in query, f"{path}: {panel['title']}: unknown variable in {query}"
            rules.append({"record": f"panel{panel['id']}:{target['refId']}", "expr": query})
json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, open(sys.argv[1], "w"))
PY
}
check "dashboard" dashboard_queries

if command -v systemd-analyze >/dev/null; then
    # The program is not installed here, which is not the unit's fault.
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' deploy/systemd/commontrace.service >"$work/commontrace.service"
    # What it does not understand it ignores, with a line that says so and exit code 0.
    unit() {
        systemd-analyze verify "$work/commontrace.service" 2>&1 | { ! grep commontrace.service; }
    }
    check "systemd unit" unit
fi
exit "$failed"
