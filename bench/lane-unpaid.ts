import { Client } from 'undici'
import { interleave, timed, type Way } from './interleave.ts'
import { round, type Result } from './result.ts'

const ROUNDS = 10
const REQUESTS = 200
const WARM_UP_REQUESTS = 500
const BODY_BYTES = 1024

/**
 * An unpaid POST of 1,024 bytes of JSON that is answered with the same bytes, one after the other over one kept
 * connection: against the upstream, and against Tollway in front of it.
 *
 * @param gatewayCpuMs CPU time of the gateway's process so far
 */
export async function measureUnpaid(
  upstream: string,
  gateway: string,
  gatewayCpuMs: () => Promise<number>,
): Promise<Result['unpaid']> {
  const clients: Record<Way, Client> = {
    direct: new Client(new URL(upstream).origin),
    tollway: new Client(gateway),
  }
  const body = jsonOf(BODY_BYTES)
  const ask = (way: Way) => async (): Promise<void> => {
    const answer = await clients[way].request({
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      body,
    })
    const received = Buffer.from(await answer.body.arrayBuffer())
    if (!received.equals(body))
      throw new Error(`the ${way} answer (${answer.statusCode}) is not what was sent`)
  }
  try {
    await timed(WARM_UP_REQUESTS, ask('direct'))
    await timed(WARM_UP_REQUESTS, ask('tollway'))
    const rounds = await interleave(ROUNDS, async (way) => {
      const before = await gatewayCpuMs()
      const samples = await timed(REQUESTS, ask(way))
      return { samples: samples.map(round), cpuMs: ((await gatewayCpuMs()) - before) / REQUESTS }
    })
    return rounds.map(({ direct, tollway }) => ({
      direct: direct.samples,
      tollway: tollway.samples,
      gatewayCpuMs: round(tollway.cpuMs),
    }))
  } finally {
    await Promise.all(Object.values(clients).map((client) => client.close()))
  }
}

/** A chat request of exactly so many bytes, for a model that no route claims. */
function jsonOf(bytes: number): Buffer {
  return Buffer.from(chatOf('x'.repeat(bytes - chatOf('').length)))
}

function chatOf(content: string): string {
  return JSON.stringify({ model: 'local', messages: [{ role: 'user', content }] })
}
