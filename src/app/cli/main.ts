#!/usr/bin/env node
// Import only the version check here: on an old Node other modules fail to load before they can explain why.
import { unsupportedNode } from '../node-version.ts'

const fault = unsupportedNode(process.versions.node)
if (fault !== undefined) {
  process.stderr.write(`${fault}\n`)
  process.exitCode = 1
} else {
  const { quietSqlite } = await import('./quiet-sqlite.ts')
  quietSqlite(process)
  const { run } = await import('./run.ts')
  const { processTerminal } = await import('./shared/terminal.ts')
  const terminal = processTerminal()
  terminal.exit(await run(process.argv.slice(2), terminal))
}
