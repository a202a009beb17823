/**
 * The seven transport cases of x402 (what can happen to the answer of a paid request), each streamed and not, over v1 and v2, with the
 * real chain, facilitator and sellers behind a door that loses, delays and falsifies answers. The client is the OpenAI SDK
 * with its own retries, and asks the same once more after a failure, as agents do. Run by itself it prints the table:
 * `node test/campaigns/transport-cases.ts`.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import OpenAI, { APIError } from 'openai'
import { z } from 'zod'
import { renderTable } from '../../src/app/cli/output/table.ts'
import type { LocalSeller } from '../../src/app/sandbox/sellers/seller-app.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { openChain, TOPICS } from '../../src/io/chain/chain.ts'
import { isPaid, relay, startFront } from '../kit/front.ts'
import type { TestGateway } from '../kit/gateway.ts'
import { encodeHeader, send } from '../kit/seller-answers.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { type SellerRequest } from '../kit/scripted-seller.ts'
import { RpcFault, startRpcProxy, type RpcProxy } from '../kit/rpc-proxy.ts'
import {
  reconcile,
  startReader,
  startTimedWorld,
  VALIDITY_SECONDS,
  type TimedWorld,
} from '../reconcile/world.ts'

/** The cases; `taken` tells whether the money moves. */
export const CASES = [
  { name: 'clean', taken: true },
  { name: 'slow_answer', taken: true },
  { name: 'accept_then_timeout', taken: true },
  { name: '5xx_after_settle', taken: true },
  { name: 'double_402', taken: true },
  { name: 'declared_safe', taken: true },
  { name: 'declared_safe', taken: false },
  { name: 'reconcile_unavailable', taken: true },
] as const

type Case = (typeof CASES)[number]

/** How one request went. */
export interface Row {
  readonly name: Case['name']
  readonly taken: boolean
  readonly version: 1 | 2
  readonly streamed: boolean
  /** What the client got: `200`, or status and code of the error. */
  readonly answer: string
  /** How the charge stood when the client had its answer. */
  readonly booked: string
  /** How it stands once the chain was asked: before and after its validity ended. */
  readonly reconciled: string
  readonly ended: string
  /** Payments the seller was sent for it, and transfers it led to. */
  readonly payments: number
  readonly transfers: number
}

/** What a campaign came to. Amounts in atomic units. */
export interface TransportReport {
  readonly rows: readonly Row[]
  readonly doubleCharges: number
  readonly ledgerTotal: bigint
  readonly chainTotal: bigint
  /** Charges that are uncertain in the end. */
  readonly uncertain: number
  readonly auditWhole: boolean
}

/** How long a slow answer takes (ms). */
const SLOW_MS = 500
/** How long the gateway waits for answers that never come, and for all others: a busy machine must not make cases of its own. */
const HASTY_SECONDS = 3
const PATIENT_SECONDS = 30

const Body = z.object({ user: z.string() })

interface Rig {
  readonly world: TimedWorld
  readonly node: RpcProxy
  readonly gateway: TestGateway
  /** Another one on the same ledger, for the requests that nobody answers. */
  readonly hasty: TestGateway
  readonly fronts: readonly ScriptedSeller[]
  /** Payments that sellers are taking. */
  readonly taking: Set<Promise<unknown>>
}

/** Runs all cases and takes everything down. */
export async function runTransportCases(): Promise<TransportReport> {
  const ends: (() => Promise<unknown>)[] = []
  try {
    const world = await startTimedWorld()
    ends.push(() => world.close())
    const fronts: ScriptedSeller[] = []
    const taking = new Set<Promise<unknown>>()
    const door = async (seller: LocalSeller): Promise<string> => {
      const front = await startFront(seller.url, (request, response, forward) =>
        misbehave(request, response, () => track(taking, forward()), seller),
      )
      ends.push(() => front.close())
      fronts.push(front)
      return front.apiBase
    }
    const node = await startRpcProxy(world.chain.rpcUrl)
    ends.push(() => node.close())
    const routes = {
      'v2-whole': await door(world.seller),
      'v2-streamed': await door(world.streamingSeller),
      v1: await door(world.v1Seller),
    }
    const start = async (seconds: number, store: object): Promise<TestGateway> => {
      const config = { ...store, timeouts: { first_byte_seconds: seconds } }
      const started = await startReader(world, routes, { rpc: node.url, config })
      ends.push(() => started.close())
      return started
    }
    const gateway = await start(PATIENT_SECONDS, {})
    const hasty = await start(HASTY_SECONDS, { store: `sqlite:${gateway.directory}/tollway.db` })
    return await campaign({ world, node, gateway, hasty, fronts, taking })
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

function track<T>(set: Set<Promise<unknown>>, work: Promise<T>): Promise<T> {
  set.add(work)
  return work.finally(() => set.delete(work))
}

async function campaign(rig: Rig): Promise<TransportReport> {
  const { world, gateway, hasty, taking } = rig
  const started: (Omit<Row, 'reconciled' | 'ended' | 'transfers'> & {
    readonly nonce: string
    readonly id: string
  })[] = []
  for (const version of [1, 2] as const) {
    for (const streamed of [false, true]) {
      for (const each of CASES) {
        const request = await ask(rig, each, version, streamed)
        const { id, authorization } = await newestCharge(gateway)
        started.push({ ...each, version, streamed, ...request, id, nonce: authorization?.nonce ?? '' })
        if (each.name === 'reconcile_unavailable') await expectNothingBooked(rig, id)
      }
    }
  }
  await Promise.all(taking)
  const standing = async (id: string): Promise<string> => describe(await charge(gateway, id))
  await world.finalize()
  await reconcile(gateway)
  const reconciled = new Map<string, string>()
  for (const { id } of started) reconciled.set(id, await standing(id))
  await world.advance(VALIDITY_SECONDS + 2)
  await reconcile(gateway)

  const moved = await world.chain.transfers({ from: world.chain.accounts.buyer.address })
  const used = await noncesByTransaction(rig)
  const rows: Row[] = []
  for (const { id, nonce, ...row } of started) {
    const transfers = moved.filter(({ transaction }) => used.get(transaction) === nonce).length
    rows.push({ ...row, reconciled: reconciled.get(id) ?? '', ended: await standing(id), transfers })
  }
  const charges = await gateway.gateway.parts.ledger.store.charges({ limit: 1000 })
  const audits = await Promise.all(
    [gateway, hasty].map(({ gateway: { parts } }) => verifyAudit(parts.config.audit.path)),
  )
  const settled = charges.filter(({ state }) => state === 'settled')
  return {
    rows,
    // Whatever the client did, it meant each request once.
    doubleCharges: moved.length - rows.filter(({ transfers }) => transfers > 0).length,
    ledgerTotal: settled.reduce((sum, { amount }) => sum + amount, 0n),
    chainTotal: moved.reduce((sum, { value }) => sum + value, 0n),
    uncertain: charges.filter(({ state }) => state === 'uncertain').length,
    auditWhole: audits.every((audit) => audit.ok && audit.openIntents.length === 0),
  }
}

/** Asks with the SDK and its retries, and once more after a failure. */
async function ask(rig: Rig, each: Case, version: 1 | 2, streamed: boolean) {
  const gateway = each.name === 'accept_then_timeout' ? rig.hasty : rig.gateway
  const { fronts } = rig
  const route = version === 1 ? 'v1' : streamed ? 'v2-streamed' : 'v2-whole'
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none' })
  const question = {
    model: `${route}/m`,
    user: `${each.name}${each.taken ? '' : '-untaken'}`,
    seed: version * 2 + Number(streamed),
    messages: [{ role: 'user' as const, content: 'Who pays for this answer?' }],
  }
  const paid = (): number => fronts.reduce((sum, { requests }) => sum + requests.filter(isPaid).length, 0)
  const before = paid()
  const attempt = async (): Promise<string> => {
    try {
      if (!streamed) await client.chat.completions.create(question)
      else
        for await (const chunk of await client.chat.completions.create({ ...question, stream: true }))
          void chunk
      return '200'
    } catch (error) {
      if (error instanceof APIError) return `${error.status} ${error.code}`
      throw error
    }
  }
  const answer = await attempt()
  const booked = describe(await newestCharge(gateway))
  if (answer !== '200') await attempt()
  return { answer, booked, payments: paid() - before }
}

/** What the seller's door does with a paid request; the case stands in the request's `user`. */
async function misbehave(
  request: SellerRequest,
  response: ServerResponse,
  forward: () => Promise<Response>,
  seller: LocalSeller,
): Promise<void> {
  const { user } = Body.parse(JSON.parse(request.body.toString()))
  const settled = async (): Promise<Response> => {
    const answer = await forward()
    if (answer.status !== 200) throw new Error(`the seller answered ${answer.status}`)
    return answer
  }
  const json = { 'content-type': 'application/json' }
  switch (user) {
    case 'clean':
      return await relay(response, await settled())
    case 'slow_answer': {
      const answer = await settled()
      await new Promise((resolve) => {
        setTimeout(resolve, SLOW_MS)
      })
      return await relay(response, answer)
    }
    case 'accept_then_timeout':
      await (await settled()).text()
      // Answered by nobody: the gateway hangs up.
      if (!response.destroyed) await once(response, 'close')
      return undefined
    case '5xx_after_settle':
    case 'reconcile_unavailable':
      await (await settled()).text()
      return send(response, { status: 502, headers: json, body: '{"error":{"message":"bad gateway"}}' })
    case 'double_402': {
      await (await settled()).text()
      const url = `${seller.url}${request.url}`
      return await relay(
        response,
        await fetch(url, { method: 'POST', headers: json, body: request.body.toString() }),
      )
    }
    case 'declared_safe':
    case 'declared_safe-untaken': {
      if (user === 'declared_safe') await (await settled()).text()
      const receipt = encodeHeader({
        success: false,
        errorReason: 'not_charged',
        transaction: '',
        network: 'base',
      })
      const headers = {
        ...json,
        'payment-response': receipt,
        'x-payment-response': receipt,
        'retry-after': '0',
      }
      const body = '{"error":{"message":"You have not been charged. It is safe to retry."},"charged":false}'
      return send(response, { status: 503, headers, body })
    }
    default:
      throw new Error(`there is no case ${user}`)
  }
}

/** While no node answers, a look changes nothing. @throws {Error} when it does */
async function expectNothingBooked({ world, node, gateway }: Rig, id: string): Promise<void> {
  const before = await charge(gateway, id)
  await world.finalize()
  node.lie = () => Promise.reject(new RpcFault(503))
  const { changed } = await reconcile(gateway)
  node.lie = undefined
  const after = await charge(gateway, id)
  if (changed.length > 0 || after.state !== 'uncertain' || after.updatedAt !== before.updatedAt) {
    throw new Error('something was booked while no node answered')
  }
}

/** Which nonce each settlement used, by transaction, as the token's event tells it. */
async function noncesByTransaction({ world }: Rig): Promise<Map<string, string>> {
  const { rpcUrl: rpc, network, token } = world.chain
  const reader = openChain({ network, rpc, finality: 'safe' })
  const address = token.address.toLowerCase()
  const logs = await reader.logs({ address, topics: [TOPICS.used], from: 0n, to: await reader.newest() })
  return new Map(logs.map(({ transaction, topics }) => [transaction, topics[2] ?? '']))
}

async function newestCharge(gateway: TestGateway): Promise<Charge> {
  const [newest] = await gateway.gateway.parts.ledger.store.charges({ limit: 1 })
  if (!newest) throw new Error('nothing was charged')
  return newest
}

async function charge(gateway: TestGateway, id: string): Promise<Charge> {
  const found = await gateway.gateway.parts.ledger.store.charge(id)
  if (!found) throw new Error(`there is no charge ${id}`)
  return found
}

function describe({ state, proof }: Charge): string {
  return proof === undefined ? state : `${state} (${proof})`
}

/** The table and the sums, for people. */
export function renderReport(report: TransportReport): string {
  const header = [
    'CASE',
    'X402',
    'STREAM',
    'TAKEN',
    'ANSWER',
    'BOOKED',
    'RECONCILED',
    'IN THE END',
    'SENT',
    'TRANSFERS',
  ]
  const rows = report.rows.map((row) => [
    row.name,
    `v${row.version}`,
    row.streamed ? 'yes' : 'no',
    row.taken ? 'yes' : 'no',
    row.answer,
    row.booked,
    row.reconciled,
    row.ended,
    String(row.payments),
    String(row.transfers),
  ])
  return `${renderTable(header, rows)}
${report.rows.length} requests, double charges ${report.doubleCharges}, uncertain in the end ${report.uncertain}.
Ledger ${report.ledgerTotal}, chain ${report.chainTotal} atomic units; audit file ${report.auditWhole ? 'whole' : 'NOT whole'}.
`
}

if (import.meta.main) {
  const report = await runTransportCases()
  process.stdout.write(renderReport(report))
  const right =
    report.doubleCharges === 0 && report.ledgerTotal === report.chainTotal && report.uncertain === 0
  process.exitCode = right && report.auditWhole ? 0 : 1
}
