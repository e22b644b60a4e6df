"""Drives every tool with the official client of PyPI, `mcp` 2.x.

Usage: client.py stdio|http REVISION, with the calls in calls.json, a server as MCP_COMMAND or at MCP_URL, a key in
MCP_KEY. Prints one object: how many tools were listed, how many calls made, and what went wrong.
"""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import httpx2
import mcp.client.session
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WITHOUT_INITIALIZE = "2026-07-28"


def server(transport: str):
    if transport == "stdio":
        return StdioServerParameters(command=os.environ["MCP_COMMAND"], args=["mcp"], env=dict(os.environ))
    http = httpx2.AsyncClient(headers={"X-API-Key": os.environ["MCP_KEY"]}, timeout=30, trust_env=False)
    return streamable_http_client(os.environ["MCP_URL"], http_client=http)


async def drive(transport: str, revision: str) -> dict:
    wrong: list[str] = []

    async def hear(message) -> None:
        if isinstance(message, Exception):
            wrong.append(f"client: {message}")

    mode = "auto" if revision == WITHOUT_INITIALIZE else "legacy"
    if mode == "legacy":
        # The newest is what it asks for unless told otherwise, which it has no option for.
        mcp.client.session.LATEST_HANDSHAKE_VERSION = revision
    made = 0
    async with Client(server(transport), mode=mode, message_handler=hear, read_timeout_seconds=60) as client:
        if client.protocol_version != revision:
            wrong.append(f"speaks {client.protocol_version}")
        tools = (await client.list_tools()).tools
        if mode == "legacy":
            await client.session.send_ping()
        found = ""
        for call in json.loads((Path(__file__).parent / "calls.json").read_text()):
            arguments = json.loads(json.dumps(call["arguments"]).replace("$ID", found))
            result = await client.call_tool(call["tool"], arguments)
            made += 1
            text = result.content[0].text
            if bool(result.is_error) != call.get("is_error", False) or len(result.content) != 1:
                wrong.append(f"{call['tool']}: {text}")
            if call["tool"] == "search_traces":
                found = UUID.search(text).group()
        try:
            await client.call_tool("drop_tables", {})
            wrong.append("a tool that is not there was called")
        except MCPError as err:
            if err.code != -32602:
                wrong.append(f"unknown tool: {err}")
    return {"tools": len(tools), "calls": made + 1, "wrong": wrong}


if __name__ == "__main__":
    told = asyncio.run(drive(sys.argv[1], sys.argv[2]))
    print(json.dumps(told))
    sys.exit(bool(told["wrong"]))
