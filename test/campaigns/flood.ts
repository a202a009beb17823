/**
 * How long one seller's flood holds up everybody else: `npm run flood`, or with parts of the inputs' names, `npm run flood -- deep
 * "as a stream"`. A gateway in this process answers paid requests whose seller and clients, in another process, do their worst;
 * meanwhile the CPU time of every turn of the gateway's event loop, which is what another stream waits, is measured. Loopback only;
 * ends by itself, with exit code 1 when a turn took 50 ms or more.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cash } from '../../providers/cash.ts'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { FLOODS } from './flood/inputs.ts'
import type { FloodOrder } from './flood/other-side.ts'
import { measureTurns } from './flood/turns.ts'

const LIMIT_MS = 50
const AT_ONCE = 2

async function openGateway(port: number): Promise<TestGateway> {
  process.env['FLOOD_WALLET'] = `0x${'11'.repeat(32)}`
  return await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:FLOOD_WALLET}', networks: ['base-sepolia'] } },
      policy: { terms: 'ask' },
      router: { allowed_fails: 1_000_000 },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: `http://127.0.0.1:${port}/v1`, payer: 'base' },
      ],
    },
    { payers: new Map([['base', cash()]]) },
  )
}

async function next(child: ChildProcess): Promise<unknown> {
  const [message] = (await once(child, 'message')) as [unknown]
  return message
}

const { values, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '1' } },
})
const rounds = Number(values.rounds)
const names = Object.keys(FLOODS).filter(
  (name) => wanted.length === 0 || wanted.some((part) => name.includes(part)),
)
const child = fork(join(import.meta.dirname, 'flood/other-side.ts'))
const { port } = (await next(child)) as { port: number }
const gateway = await openGateway(port)
const rows: string[][] = []
// The first round compiles the code that the others measure.
const worst = new Map<string, number>()
const long = new Map<string, number>()
for (let round = 0; round <= rounds; round++) {
  for (const name of names) {
    const told = next(child)
    child.send({ url: gateway.url, name, atOnce: AT_ONCE } satisfies FloodOrder)
    const turns = await measureTurns(told, LIMIT_MS)
    if ((await told) !== 'done') throw new Error(`${name}: ${String(await told)}`)
    process.stderr.write(`${round} ${name}: ${turns.count} turns, longest ${turns.longestMs.toFixed(1)} ms\n`)
    if (round === 0) continue
    worst.set(name, Math.max(worst.get(name) ?? 0, turns.longestMs))
    long.set(name, (long.get(name) ?? 0) + turns.tooLong)
  }
}
for (const name of names) {
  rows.push([name, (worst.get(name) ?? 0).toFixed(1), String(long.get(name) ?? 0)])
  if ((worst.get(name) ?? 0) >= LIMIT_MS) process.exitCode = 1
}
process.stdout.write(renderTable([`FLOOD, ${AT_ONCE} AT ONCE`, 'LONGEST TURN, MS', 'OVER 50 MS'], rows))
child.kill()
await gateway.close()
