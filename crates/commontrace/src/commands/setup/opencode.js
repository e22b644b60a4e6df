// Written by `commontrace setup opencode`; `commontrace setup --remove opencode` takes it away again.
// Passes what opencode's tools did to this program, and what it knows about a failure on to the agent.
import { spawn } from "node:child_process"

const PROGRAM = "@PROGRAM@"
const SECONDS = 5

function tell(event) {
  return new Promise((resolve) => {
    let said = ""
    const child = spawn(PROGRAM, ["hook", "opencode"], { stdio: ["pipe", "pipe", "ignore"], timeout: SECONDS * 1000 })
    child.on("error", () => resolve(""))
    child.on("close", () => {
      try {
        resolve(JSON.parse(said).additionalContext || "")
      } catch {
        resolve("")
      }
    })
    child.stdin.on("error", () => {})
    child.stdout.on("data", (data) => (said += data))
    child.stdin.end(JSON.stringify(event))
  })
}

async function afterTool(directory, input, output) {
  const said = await tell({ event: "tool.after", directory, input: { ...input, args: input.args ?? output.args }, output })
  if (said && typeof output.output === "string") output.output += "\n\n" + said
}

export default {
  id: "commontrace",
  // opencode 1
  server: async ({ directory }) => ({
    "tool.execute.after": (input, output) => afterTool(directory, input, output),
    event: async ({ event }) => {
      const about = event.properties ?? {}
      if (event.type === "session.created") await tell({ event: "session.start", directory, input: { sessionID: about.info?.id } })
      if (event.type === "session.idle") await tell({ event: "session.idle", directory, input: about })
    },
  }),
  // opencode 2
  setup: async (ctx) => {
    const directory = ctx.directory ?? process.cwd()
    await ctx.tool?.hook?.("execute.after", (event) => afterTool(directory, event.input ?? event, event.output ?? event))
  },
}
