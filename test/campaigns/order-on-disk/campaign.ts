/** Runs a gateway under strace, pays through it in parallel, and reads the order off the trace. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startPatientSeller } from '../../kit/fragile-gateway.ts'
import { ask } from '../../kit/gateway.ts'
import { readyUrl, servePlace } from '../../kit/serve-process.ts'
import { checkOrder, type OrderReport } from './order.ts'
import { parseTrace, TRACED_CALLS } from './trace.ts'

/** How much to pay, and how. */
export interface OrderOptions {
  readonly payments: number
  /** Requests on their way at once. */
  readonly parallel: number
  /** Modules loaded into the gateway before it starts: the control breaks the rule with one. */
  readonly preload?: string | undefined
}

/** Where Debian and others put strace. @throws naming the command that installs it */
export function findStrace(): string {
  try {
    return execFileSync('sh', ['-c', 'command -v strace'], { encoding: 'utf8' }).trim()
  } catch {
    throw new Error('strace is not installed. Run: npm run setup:test')
  }
}

/** Pays, and tells what the trace proves. @throws Error when a payment failed: the figures would mean something else */
export async function traceOrder({ payments, parallel, preload }: OrderOptions): Promise<OrderReport> {
  const strace = findStrace()
  const seller = await startPatientSeller()
  const place = servePlace(`
model_list: [{ model_name: "paid/*", model: "*", api_base: "${seller.apiBase}", payer: base }]
budgets: [{ name: all, limit_usd: "1000.00", window: lifetime }]
`)
  const trace = join(place.directory, 'trace.txt')
  // -D: the child is the gateway and not strace, which would keep the stop signal for itself.
  const options = [
    '-D',
    '-f',
    '-yy',
    '-xx',
    '-s',
    '1048576',
    '-o',
    trace,
    '-e',
    `trace=${TRACED_CALLS.join(',')}`,
  ]
  const child = place.start({ wrapper: [strace, ...options], preload })
  try {
    const url = await readyUrl(child)
    let started = 0
    const pay = async (): Promise<void> => {
      while (started < payments) {
        started += 1
        const answer = await ask(url, { model: 'paid/m', user: randomUUID() })
        if (answer.status !== 200)
          throw new Error(`a payment was answered ${answer.status}: ${await answer.text()}`)
        await answer.arrayBuffer()
      }
    }
    await Promise.all(Array.from({ length: parallel }, pay))
    child.kill('SIGTERM')
    const { code, stderr } = await child.end()
    if (code !== 0) throw new Error(`the gateway ended with ${code}: ${stderr}`)
    if (seller.counts().paid !== payments) throw new Error(`the seller saw ${seller.counts().paid} payments`)
    const lines: string[] = []
    for await (const line of createInterface({ input: createReadStream(trace) })) lines.push(line)
    return checkOrder(parseTrace(lines), { ledger: place.ledger, audit: place.audit })
  } finally {
    child.kill('SIGKILL')
    await child.end()
    await seller.close()
    place.remove()
  }
}
