"""Calls every tool with the command line of the official inspector, one process for each call.

Usage: inspector.py stdio|http legacy|modern, with the calls in calls.json, a server as MCP_COMMAND or at MCP_URL, a
key in MCP_KEY; run where the inspector is installed. Prints one object, as client.py does.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TOOL_FAILED = 5


def inspect(transport: str, era: str, method: list[str]) -> tuple[int, dict]:
    command = ["node_modules/.bin/mcp-inspector", "--cli", "--protocol-era", era, "--format", "json", *method]
    if transport == "http":
        command += ["--header", f"X-API-Key: {os.environ['MCP_KEY']}", "--transport", "http"]
        command += ["--server-url", os.environ["MCP_URL"]]
    else:
        # It hands on few variables of its own.
        for name in ("COMMONTRACE_DATA_DIR", "EMBEDDING_PROVIDER", "COMMONTRACE_LOG"):
            command += ["-e", f"{name}={os.environ[name]}"]
        command += [os.environ["MCP_COMMAND"], "mcp"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return ended.returncode, json.loads(ended.stdout)["result"]
    except (ValueError, KeyError):
        return ended.returncode, {"told": ended.stdout + ended.stderr}


def drive(transport: str, era: str) -> dict:
    wrong: list[str] = []
    # Strictly: a schema that some host could not use is an error.
    code, result = inspect(transport, era, ["--method", "tools/list", "--strict"])
    tools = result.get("tools", [])
    if code:
        wrong.append(f"tools/list: {code}: {result}")
    calls = json.loads((Path(__file__).parent / "calls.json").read_text())
    found = ""
    for call in calls:
        arguments = json.dumps(call["arguments"]).replace("$ID", found)
        method = ["--method", "tools/call", "--tool-name", call["tool"], "--tool-args-json", arguments]
        code, result = inspect(transport, era, method)
        expected = TOOL_FAILED if call.get("is_error") else 0
        if code != expected or len(result.get("content", [])) != 1:
            wrong.append(f"{call['tool']}: {code}: {result}")
        elif call["tool"] == "search_traces":
            found = UUID.search(result["content"][0]["text"]).group()
    return {"tools": len(tools), "calls": len(calls), "wrong": wrong}


if __name__ == "__main__":
    told = drive(sys.argv[1], sys.argv[2])
    print(json.dumps(told))
    sys.exit(bool(told["wrong"]))
