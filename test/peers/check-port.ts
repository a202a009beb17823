/** agentcash in its offline mode asks for balances at localhost:3000, and nowhere else. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** The port agentcash --dev has fixed. */
export const BALANCE_PORT = 3000

/** What keeps the stand-in for the balances from starting, in words; `undefined` when nothing does. */
export async function portTrouble(port: number): Promise<string | undefined> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return undefined
  } catch {
    return `test:peers: port ${port} of 127.0.0.1 is taken, and agentcash --dev asks for balances there and nowhere else. Free it and run again.`
  } finally {
    server.close()
  }
}

if (import.meta.main) {
  const trouble = await portTrouble(BALANCE_PORT)
  if (trouble !== undefined) {
    console.error(trouble)
    process.exitCode = 1
  }
}
