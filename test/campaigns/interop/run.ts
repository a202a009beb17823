/** Runs each case with the official client and with the gateway, and tells who paid. */
import { officialFetch, chatRequest } from '../../kit/official-client.ts'
import { ask, errorOf, startGateway } from '../../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../../kit/scripted-seller.ts'
import { startWorld } from '../../../src/app/sandbox/world.ts'
import { interopCases } from './cases.ts'

/** What became of one case. */
export interface InteropRow {
  readonly name: string
  readonly official: string
  readonly ours: string
  /** Why it must not be paid. */
  readonly refused: string | undefined
}

/** The seller of a case: a scripted one, or an official one on the local chain. */
interface Place {
  readonly name: string
  readonly apiBase: string
  readonly refused: string | undefined
  readonly payments: () => number
}

/** How often each case is asked by each client: pins show with the second request. */
const REQUESTS = 2

export async function runInterop(): Promise<readonly InteropRow[]> {
  const world = await startWorld()
  const sellers: ScriptedSeller[] = []
  const places: Place[] = [
    place('official seller, v2', world.seller),
    place('official seller, v2, streams', world.streamingSeller),
    place('official seller, v1', world.v1Seller),
  ]
  for (const { name, seller, refused } of interopCases(world.chain.accounts.buyer.address)) {
    const scripted = await startScriptedSeller(seller)
    sellers.push(scripted)
    places.push({ name, apiBase: scripted.apiBase, refused, payments: () => scripted.payments.length })
  }
  process.env['INTEROP_KEY'] = world.chain.accounts.buyer.privateKey
  const tollway = await startGateway({
    payers: { base: { kind: 'direct', key: '${env:INTEROP_KEY}', networks: ['base-sepolia'] } },
    model_list: places.map(({ apiBase }, at) => ({
      model_name: `case-${at}`,
      model: 'm',
      api_base: apiBase,
      payer: 'base',
    })),
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'lifetime' }],
    router: { cooldown_seconds: 0 },
  })
  try {
    const official = officialFetch(world.chain)
    const rows: InteropRow[] = []
    for (const [at, { name, apiBase, refused, payments }] of places.entries()) {
      const direct = await outcome(payments, (n) =>
        official(`${apiBase}/chat/completions`, chatRequest(`question ${n}`)).then(
          (answer) => told(answer, false),
          () => 'no answer',
        ),
      )
      const ours = await outcome(payments, (n) =>
        ask(tollway.url, { model: `case-${at}`, seed: n }).then((answer) => told(answer, true)),
      )
      rows.push({ name, official: direct, ours, refused })
    }
    return rows
  } finally {
    await tollway.close()
    for (const seller of sellers) await seller.close()
    await world.close()
  }
}

function place(
  name: string,
  { apiBase, log }: { readonly apiBase: string; readonly log: readonly { readonly hadPayment: string }[] },
): Place {
  return {
    name,
    apiBase,
    refused: undefined,
    payments: () => log.filter(({ hadPayment }) => hadPayment !== 'none').length,
  }
}

/** `answered`, or the code of our error. */
async function told(answer: Response, isOurs: boolean): Promise<string> {
  if (answer.status === 200) {
    await answer.body?.cancel()
    return 'answered'
  }
  return isOurs ? `\`${(await errorOf(answer)).code}\`` : 'no answer'
}

async function outcome(payments: () => number, request: (n: number) => Promise<string>): Promise<string> {
  const results: string[] = []
  for (let n = 0; n < REQUESTS; n += 1) {
    const before = payments()
    const answer = await request(n)
    const paid = payments() - before
    results.push(
      paid === 0 && answer === 'answered'
        ? 'free'
        : `${paid === 0 ? 'does not pay' : paid === 1 ? 'pays' : `sends the payment ${paid} times`}${answer === 'answered' || (paid === 0 && answer === 'no answer') ? '' : `, ${answer}`}`,
    )
  }
  return [...new Set(results)].join('; then ')
}

/** The table of docs/verification.md. */
export function renderInterop(rows: readonly InteropRow[]): string {
  const lines = rows.map(
    ({ name, official, ours, refused }) => `| ${name} | ${official} | ${ours} | ${refused ?? ''} |`,
  )
  return [
    '| Seller | Official client | Tollway | Must not be paid, because |',
    '|---|---|---|---|',
    ...lines,
  ].join('\n')
}

/** What contradicts the claim: ours pays wherever the official client pays, and refuses what it should not pay. */
export function interopFaults(rows: readonly InteropRow[]): readonly string[] {
  return rows.flatMap(({ name, official, ours, refused }) => {
    const pays = ours === 'pays' || ours === 'free'
    if (refused !== undefined) return /^(?:pays; then )?does not pay/.test(ours) ? [] : [`${name}: ${ours}`]
    return pays || !official.startsWith('pays') ? (pays ? [] : [`${name}: ${ours}`]) : [`${name}: ${ours}`]
  })
}
