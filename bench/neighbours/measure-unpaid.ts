/** The same unpaid request straight to an upstream, and through each gateway before it, in turns. */
import { Client } from 'undici'
import { timed } from '../interleave.ts'
import { round } from '../result.ts'
import { WAYS, type NeighboursResult, type Way } from './result.ts'
import { LITELLM_KEY } from './start-peers.ts'

const ROUNDS = 7
const REQUESTS = 60
const WARM_UP_REQUESTS = 60
const BODY_BYTES = 1024

/** @param urls root address of each way; @param upstream what Portkey is told to call */
export async function measureUnpaid(
  urls: Readonly<Record<Way, string>>,
  upstream: string,
): Promise<NeighboursResult['unpaid']> {
  const clients = new Map(WAYS.map((way) => [way, new Client(urls[way])]))
  const headers: Readonly<Record<Way, Readonly<Record<string, string>>>> = {
    direct: {},
    tollway: {},
    litellm: { authorization: `Bearer ${LITELLM_KEY}` },
    portkey: {
      authorization: 'Bearer unused',
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `${upstream}/v1`,
    },
  }
  const text = (content: string): string =>
    JSON.stringify({ model: 'local', messages: [{ role: 'user', content }] })
  const body = text('x'.repeat(BODY_BYTES - text('').length))
  const ask = (way: Way) => async (): Promise<void> => {
    const answer = await clients.get(way)?.request({
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json', ...headers[way] },
      body,
    })
    const received = (await answer?.body.json()) as
      | { choices?: { message: { content: string } }[] }
      | undefined
    if (received?.choices?.[0]?.message.content.length !== 700) {
      throw new Error(
        `the answer by ${way} (${answer?.statusCode}) is not the upstream's: ${JSON.stringify(received)}`,
      )
    }
  }
  try {
    for (const way of WAYS) await timed(WARM_UP_REQUESTS, ask(way))
    const rounds: NeighboursResult['unpaid'] = []
    for (let index = 0; index < ROUNDS; index++) {
      // Every round begins with another way.
      const order = [...WAYS.slice(index % WAYS.length), ...WAYS.slice(0, index % WAYS.length)]
      const samples: Partial<Record<Way, number[]>> = {}
      for (const way of order) samples[way] = (await timed(REQUESTS, ask(way))).map(round)
      const { direct = [], tollway = [], portkey = [], litellm = [] } = samples
      rounds.push({ direct, tollway, portkey, litellm })
    }
    return rounds
  } finally {
    await Promise.all([...clients.values()].map((client) => client.close()))
  }
}
