import { localAccounts } from '../src/app/sandbox/chain/accounts.ts'
import { chatRequest, officialFetch } from '../test/kit/official-client.ts'
import { interleave, timed, type Way } from './interleave.ts'
import { round, type Result } from './result.ts'

const ROUNDS = 12
const CALLS = 10
const WARM_UP_CALLS = 10

/** How many payments one way makes in all. */
export const PAYMENTS_PER_WAY = ROUNDS * CALLS + WARM_UP_CALLS

/**
 * A paid call, from asking to the last byte of the answer: by the official client against the seller, and by plain fetch
 * against Tollway, which pays the same seller.
 */
export async function measurePaid(seller: string, gateway: string): Promise<Result['paid']> {
  const pay = officialFetch({
    accounts: localAccounts(),
    network: 'eip155:84532',
    v1Network: 'base-sepolia',
  })
  const calls: Record<Way, () => Promise<void>> = {
    direct: async () => whole(await pay(`${seller}/chat/completions`, chatRequest('What is this?'))),
    tollway: async () =>
      whole(
        await fetch(
          `${gateway}/v1/chat/completions`,
          chatRequest('What is this?', { model: 'paid/sandbox-small' }),
        ),
      ),
  }
  await timed(WARM_UP_CALLS, calls.direct)
  await timed(WARM_UP_CALLS, calls.tollway)
  return await interleave(ROUNDS, async (way) => (await timed(CALLS, calls[way])).map(round))
}

async function whole(response: Response): Promise<void> {
  const text = await response.text()
  if (!response.ok) throw new Error(`a paid call was answered with ${response.status}: ${text}`)
}
