/** A paid call by the official client, and by plain fetch through Tollway, which knows the seller's terms. */
import { z } from 'zod'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { chatRequest, officialFetch } from '../../test/kit/official-client.ts'
import { Part } from '../child.ts'
import { GatewayFacts } from '../facts.ts'
import { interleave } from '../interleave.ts'
import { round } from '../result.ts'
import { load } from './load.ts'
import type { PeersResult } from './result.ts'

/** Enough that terms are known, whatever the order of their sizes is. */
const WARM_UP = 30

/** What one lane is measured with. */
export interface PaidLane {
  readonly parallel: number
  readonly rounds: number
  /** Of each way in each round. */
  readonly calls: number
}

/**
 * Measures lanes of one delay.
 * @param warmUp calls of each way before; at least five, so that terms are known
 */
export async function measurePaid(
  delayMs: number,
  lanes: readonly PaidLane[],
  warmUp = WARM_UP,
): Promise<{ readonly lanes: PeersResult['paid']; readonly requestsPerAnswer: number }> {
  const seller = await Part.start(
    new URL('seller-process.ts', import.meta.url),
    { delayMs },
    z.strictObject({ url: z.string() }),
  )
  const { url } = seller.facts
  const gateway = await Part.start(
    new URL('../gateway-process.ts', import.meta.url),
    { seller: url, upstream: url },
    GatewayFacts,
  )
  try {
    const pay = officialFetch({
      accounts: localAccounts(),
      network: 'eip155:84532',
      v1Network: 'base-sepolia',
    })
    let sent = 0
    /** No two of the last hundred questions are of one size, as with people's. */
    const question = (): string => 'x'.repeat(100 + (sent++ % 100))
    const calls = {
      direct: async () => whole(await pay(`${url}/chat/completions`, chatRequest(question()))),
      tollway: async () => {
        const request = chatRequest(question(), { model: 'paid/m' })
        await whole(await fetch(`${gateway.facts.url}/v1/chat/completions`, request))
      },
    }
    await load(warmUp, 1, calls.direct)
    await load(warmUp, 1, calls.tollway)
    const found: PeersResult['paid'] = []
    let [received, paid] = [0, 0]
    for (const lane of lanes) {
      const cpuMs: number[] = []
      const directCpuMs: number[] = []
      const rounds = await interleave(lane.rounds, async (way) => {
        const before = await figures()
        const result = await load(lane.calls, lane.parallel, calls[way])
        const after = await figures()
        if (way === 'tollway') {
          cpuMs.push(round((after.cpu - before.cpu) / lane.calls))
          received += after.received - before.received
          paid += after.paid - before.paid
        } else directCpuMs.push(round((after.own - before.own) / lane.calls))
        return result
      })
      found.push({ delayMs, parallel: lane.parallel, rounds, cpuMs, directCpuMs })
    }
    return { lanes: found, requestsPerAnswer: received / paid }
  } finally {
    await gateway.close()
    await seller.close()
  }

  async function figures(): Promise<Record<'own' | 'cpu' | 'received' | 'paid', number>> {
    const { user, system } = process.cpuUsage()
    return {
      own: (user + system) / 1000,
      cpu: await gateway.ask('cpu'),
      received: await seller.ask('received'),
      paid: await seller.ask('paid'),
    }
  }
}

async function whole(response: Response): Promise<void> {
  const text = await response.text()
  if (!response.ok) throw new Error(`a paid call was answered with ${response.status}: ${text}`)
}
