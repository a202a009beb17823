/** agentcash in its offline mode asks for balances at localhost:3000, and nowhere else. */
import { createServer } from 'node:net'

/** The port agentcash --dev has fixed. */
export const BALANCE_PORT = 3000

if (import.meta.main) {
  const server = createServer()
  server.once('error', () => {
    console.error(
      `test:peers: port ${BALANCE_PORT} of 127.0.0.1 is taken, and agentcash --dev asks for balances there and nowhere else. Free it and run again.`,
    )
    process.exitCode = 1
  })
  server.listen(BALANCE_PORT, '127.0.0.1', () => server.close())
}
