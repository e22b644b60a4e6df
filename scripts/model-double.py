#!/usr/bin/env python3
"""Stands in for a model, so that the real programs of agents' hosts can be driven without an account.

    model-double.py PORT_FILE REQUESTS_FILE COMMAND

Speaks as much of the protocols of Anthropic, OpenAI (responses and chat completions) and Gemini as hosts need. It asks for
COMMAND to be run once, with the shell tool that the host offers, and says "done" to everything after. Requests are appended to
REQUESTS_FILE, one per line. Only the standard library.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT_FILE, REQUESTS_FILE, COMMAND = sys.argv[1:4]
SHELLS = ["Bash", "bash", "exec_command", "shell_command", "shell", "run_shell_command"]


def names(body):
    """The names of the tools that a request offers, in whichever form."""
    for tool in body.get("tools") or []:
        for name in [tool.get("name"), (tool.get("function") or {}).get("name")]:
            if name:
                yield name
        for declared in tool.get("functionDeclarations") or tool.get("function_declarations") or []:
            yield declared["name"]


def arguments(shell):
    """What the shell tool of this name takes."""
    if shell == "shell":
        return {"command": ["bash", "-lc", COMMAND]}
    if shell == "exec_command":
        return {"cmd": COMMAND}
    return {"command": COMMAND, "description": "Runs it"}


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer({"data": [{"id": "m", "object": "model"}], "models": [], "object": "list"})

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw or b"{}")
        with open(REQUESTS_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps({"path": self.path, "body": body}) + "\n")
        offered = set(names(body))
        shell = next((name for name in SHELLS if name in offered), None)
        text = json.dumps(body.get("messages") or body.get("input") or body.get("contents") or [])
        had = any(mark in text for mark in ['"tool_result"', "function_call_output", "functionResponse", '"role": "tool"'])
        wanted = shell if shell and not had else None
        if "count_tokens" in self.path.lower() or ":counttokens" in self.path.lower():
            self.answer({"input_tokens": 1, "totalTokens": 1})
        elif "/messages" in self.path:
            self.as_anthropic(body, wanted)
        elif self.path.endswith("/responses"):
            self.as_responses(wanted)
        elif "enerateContent" in self.path:
            self.as_gemini(wanted)
        else:
            self.as_chat(body, wanted)

    def answer(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events, named=False, last=None):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            if named:
                self.wfile.write(f"event: {event['type']}\n".encode())
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        if last:
            self.wfile.write(f"data: {last}\n\n".encode())

    def as_anthropic(self, body, shell):
        usage = {"input_tokens": 1, "output_tokens": 1}
        if shell:
            block = {"type": "tool_use", "id": "toolu_1", "name": shell, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments(shell))}
            whole = {**block, "input": arguments(shell)}
        else:
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": "done"}
            whole = {"type": "text", "text": "done"}
        reason = "tool_use" if shell else "end_turn"
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model", "m"), "usage": usage}
        if not body.get("stream"):
            return self.answer({**message, "content": [whole], "stop_reason": reason, "stop_sequence": None})
        return self.stream([
            {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "stop_sequence": None}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ], named=True)

    def as_responses(self, shell):
        if shell:
            item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": shell,
                    "arguments": json.dumps(arguments(shell)), "status": "completed"}
        else:
            item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "done", "annotations": []}]}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
                 "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        response = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
        self.stream([
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {**response, "status": "completed", "output": [item], "usage": usage}},
        ], named=True)

    def as_gemini(self, shell):
        if shell:
            part = {"functionCall": {"name": shell, "args": arguments(shell)}}
        else:
            part = {"text": "done"}
        value = {
            "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
            "modelVersion": "m",
        }
        if "streamGenerateContent" in self.path:
            self.stream([value])
        else:
            self.answer(value)

    def as_chat(self, body, shell):
        message = {"role": "assistant", "content": None if shell else "done"}
        if shell:
            call = {"name": shell, "arguments": json.dumps(arguments(shell))}
            message["tool_calls"] = [{"index": 0, "id": "call_1", "type": "function", "function": call}]
        reason = "tool_calls" if shell else "stop"
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        whole = {"id": "chat_1", "created": 0, "model": "m"}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            return self.answer({**whole, "object": "chat.completion", "choices": [choice], "usage": usage})
        chunk = {**whole, "object": "chat.completion.chunk"}
        return self.stream([
            {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage},
        ], last="[DONE]")


server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
with open(PORT_FILE, "w", encoding="utf-8") as file:
    file.write(str(server.server_address[1]))
server.serve_forever()
