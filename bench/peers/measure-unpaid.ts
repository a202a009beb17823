/** An unpaid request of 1 KB that is answered with the same bytes, through Express with http-proxy-middleware and through Tollway. */
import { Pool } from 'undici'
import { z } from 'zod'
import { Part } from '../child.ts'
import { GatewayFacts } from '../facts.ts'
import { interleave } from '../interleave.ts'
import { round } from '../result.ts'
import { load } from './load.ts'
import type { PeersResult } from './result.ts'

/** What one lane is measured with. */
export interface UnpaidLane {
  readonly parallel: number
  readonly rounds: number
  readonly calls: number
}

const BYTES = 1024
const WARM_UP = 500
const URL_ONLY = z.strictObject({ url: z.string() })

/** Measures lanes. */
export async function measureUnpaid(lanes: readonly UnpaidLane[]): Promise<PeersResult['unpaid']> {
  const upstream = await Part.start(
    new URL('../neighbours/upstream-process.ts', import.meta.url),
    null,
    URL_ONLY,
  )
  const api = `${upstream.facts.url}/v1`
  const proxy = await Part.start(new URL('proxy-process.ts', import.meta.url), { upstream: api }, URL_ONLY)
  const gateway = await Part.start(
    new URL('../gateway-process.ts', import.meta.url),
    { seller: api, upstream: api },
    GatewayFacts,
  )
  const pools = { direct: new Pool(proxy.facts.url), tollway: new Pool(gateway.facts.url) }
  const empty = JSON.stringify({ model: 'local', messages: [{ role: 'user', content: '' }] })
  const body = empty.replace('""', `"${'x'.repeat(BYTES - empty.length)}"`)
  const ask = (way: keyof typeof pools) => async (): Promise<void> => {
    const answer = await pools[way].request({
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      body,
    })
    await answer.body.arrayBuffer()
    if (answer.statusCode !== 200) throw new Error(`an unpaid request was answered with ${answer.statusCode}`)
  }
  try {
    await load(WARM_UP, 8, ask('direct'))
    await load(WARM_UP, 8, ask('tollway'))
    const found: PeersResult['unpaid'] = []
    for (const { parallel, rounds: times, calls } of lanes) {
      const cpuMs: number[] = []
      const rounds = await interleave(times, async (way) => {
        const before = await gateway.ask('cpu')
        const result = await load(calls, parallel, ask(way))
        if (way === 'tollway') cpuMs.push(round(((await gateway.ask('cpu')) - before) / calls))
        return result
      })
      found.push({ delayMs: 0, parallel, rounds, cpuMs })
    }
    return found
  } finally {
    await Promise.all(Object.values(pools).map((pool) => pool.close()))
    for (const part of [gateway, proxy, upstream]) await part.close()
  }
}
