// Drives every tool with the official clients of npm: `@modelcontextprotocol/sdk` 1.x, which begins with `initialize`,
// and `@modelcontextprotocol/client` 2.x, which speaks all revisions.
//
// Usage: client.mjs sdk|client stdio|http REVISION, with the calls in calls.json, a server as MCP_COMMAND or at MCP_URL, a
// key in MCP_KEY; run where the packages are installed. Prints one object, as client.py does.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const WITHOUT_INITIALIZE = '2026-07-28';
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
const [kind, way, revision] = process.argv.slice(2);
const installed = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(installed.resolve(name)));

async function parts() {
  if (kind === 'sdk') {
    const root = '@modelcontextprotocol/sdk/client';
    const { Client } = await load(`${root}/index.js`);
    const { StdioClientTransport } = await load(`${root}/stdio.js`);
    const { StreamableHTTPClientTransport } = await load(`${root}/streamableHttp.js`);
    return { Client, StdioClientTransport, StreamableHTTPClientTransport };
  }
  const root = '@modelcontextprotocol/client';
  return { ...(await load(root)), ...(await load(`${root}/stdio`)) };
}

const { Client, StdioClientTransport, StreamableHTTPClientTransport } = await parts();
const transport =
  way === 'stdio'
    ? new StdioClientTransport({ command: process.env.MCP_COMMAND, args: ['mcp'], env: { ...process.env }, stderr: 'ignore' })
    : new StreamableHTTPClientTransport(new URL(process.env.MCP_URL), {
        requestInit: { headers: { 'X-API-Key': process.env.MCP_KEY } },
      });
// The newest is what a client asks for; an older one is put into its first message.
const send = transport.send.bind(transport);
transport.send = (message, options) => {
  if (message.method === 'initialize') message.params.protocolVersion = revision;
  return send(message, options);
};

const wrong = [];
const options = revision === WITHOUT_INITIALIZE ? { versionNegotiation: { mode: 'auto' } } : {};
const client = new Client({ name: 'conformance', version: '1' }, options);
client.onerror = (err) => wrong.push(`client: ${err.message}`);
let agreed;
const told = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (version) => {
  agreed = version;
  told?.(version);
};

await client.connect(transport);
agreed ??= client.getNegotiatedProtocolVersion?.();
if (agreed !== revision) wrong.push(`speaks ${agreed}`);
const { tools } = await client.listTools();
if (revision !== WITHOUT_INITIALIZE) await client.ping();
let found = '';
let calls = 0;
for (const call of JSON.parse(readFileSync(new URL('calls.json', import.meta.url)))) {
  const args = JSON.parse(JSON.stringify(call.arguments).replaceAll('$ID', found));
  const result = await client.callTool({ name: call.tool, arguments: args });
  calls += 1;
  const text = result.content[0].text;
  if ((result.isError ?? false) !== (call.is_error ?? false) || result.content.length !== 1) wrong.push(`${call.tool}: ${text}`);
  if (call.tool === 'search_traces') found = UUID.exec(text)[0];
}
calls += 1;
try {
  await client.callTool({ name: 'drop_tables', arguments: {} });
  wrong.push('a tool that is not there was called');
} catch (err) {
  if (err.code !== -32602) wrong.push(`unknown tool: ${err.message}`);
}
await client.close();
console.log(JSON.stringify({ tools: tools.length, calls, wrong }));
process.exit(wrong.length ? 1 : 0);
