import { Pool } from 'undici'
import { Part } from './child.ts'
import { GatewayFacts, WorldFacts } from './facts.ts'

const CONNECTIONS = 32
const STAGES = 5

/**
 * Whether ended requests leave anything behind: so many unpaid requests of 1 KB in five stages, 32 at a time, and after each what
 * the gateway's process holds in heap and buffers once garbage is collected. Remembered answers fill up to their limit first.
 * @returns a table
 */
export async function measureSoak(requests: number): Promise<string> {
  const world = await Part.start(new URL('world-process.ts', import.meta.url), null, WorldFacts)
  try {
    const gateway = await Part.start(
      new URL('gateway-process.ts', import.meta.url),
      world.facts,
      GatewayFacts,
    )
    const pool = new Pool(gateway.facts.url, { connections: CONNECTIONS })
    try {
      const rows = [['Requests', 'In use after a collection', 'Per request of the stage']]
      const each = Math.ceil(requests / STAGES)
      let before = await gateway.ask('live')
      rows.push(['0', megabytes(before), ''])
      for (let stage = 1; stage <= STAGES; stage += 1) {
        await sendAll(pool, each)
        const live = await gateway.ask('live')
        rows.push([String(stage * each), megabytes(live), `${Math.round((live - before) / each)} bytes`])
        before = live
      }
      const [head = [], ...lines] = rows
      return [head, head.map(() => '---:'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
    } finally {
      await pool.close()
      await gateway.close()
    }
  } finally {
    await world.close()
  }
}

async function sendAll(pool: Pool, count: number): Promise<void> {
  const body = JSON.stringify({ model: 'local', messages: [{ role: 'user', content: 'x'.repeat(960) }] })
  let left = count
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const answer = await pool.request({
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { 'content-type': 'application/json' },
        body,
      })
      await answer.body.dump()
      if (answer.statusCode !== 200) throw new Error(`a request was answered with ${answer.statusCode}`)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MB`
}
