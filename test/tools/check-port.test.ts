import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { portTrouble } from '../peers/check-port.ts'

test('a taken port ends the run of the real agentcash before it begins, and says what to do', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  expect(await portTrouble(port)).toMatch(
    new RegExp(`^test:peers: port ${port} of 127\\.0\\.0\\.1 is taken.*Free it and run again\\.$`),
  )
  server.close()
  await once(server, 'close')
  expect(await portTrouble(port)).toBeUndefined()
  const script = readFileSync(new URL('../peers/run.sh', import.meta.url), 'utf8')
  // `set -e`: its failure is the script's, before any test runs.
  expect(script).toMatch(/set -euo pipefail[\s\S]*\nnode check-port\.ts\n[\s\S]*exec vitest/)
})
