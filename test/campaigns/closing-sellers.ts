/**
 * Sellers that close right behind their 402, over HTTP/1.1 and HTTP/2: what was signed must reach them on a connection that is
 * alive, so no payment may stay uncertain that the seller never read. The payer is a stand-in; sellers, sockets, ledger and gateway
 * are real. Run by itself it prints the table: `node test/campaigns/closing-sellers.ts --requests 1000`.
 */
import { constants } from 'node:http2'
import type { Socket } from 'node:net'
import { parseArgs } from 'node:util'
import { cash } from '../../providers/cash.ts'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { offerV2 } from '../kit/quotes.ts'
import { raw, startRawSeller } from '../kit/raw-seller.ts'
import { challengeV2, completion, type Answer } from '../kit/seller-answers.ts'
import { startH2Seller, trustCertificate, type H2Request } from '../kit/tls-seller.ts'

/** A seller that answers payments, and counts those it read. */
interface ClosingSeller {
  readonly apiBase: string
  payments(): number
  close(): Promise<void>
}

/** What one seller did and what the books say. */
export interface ClosingRow {
  readonly seller: string
  readonly requests: number
  /** Requests answered with 200. */
  readonly served: number
  /** Payments that the seller read. */
  readonly read: number
  readonly settled: number
  /** Given back because nothing left. */
  readonly released: number
  readonly uncertain: number
  /** Uncertain, and never read: must be 0. */
  readonly unread: number
}

/** When the seller closes, milliseconds behind its 402: before, while and after the payment is made ready. */
const DELAYS = [0, 1, 2, 3, 5, 8]
const AT_ONCE = 8
const OFFER = challengeV2([offerV2])

const SELLERS: readonly (readonly [string, () => Promise<ClosingSeller>])[] = [
  ['HTTP/1.1, closes', () => startH1((socket) => socket.end())],
  ['HTTP/1.1, resets', () => startH1((socket) => socket.resetAndDestroy())],
  [
    'HTTP/1.1, promises a minute and closes',
    () => startH1((socket) => socket.end(), { 'keep-alive': 'timeout=60' }),
  ],
  ['HTTP/2, closes in order', () => startH2(({ session }) => session.close())],
  ['HTTP/2, breaks off', () => startH2(({ session }) => session.destroy())],
  [
    'HTTP/2, GOAWAY',
    () =>
      startH2(({ session, stream }) => {
        // The client may have ended it in the meantime.
        if (!session.destroyed) session.goaway(constants.NGHTTP2_NO_ERROR, stream.id)
      }),
  ],
]

/** Runs `requests` requests, spread over all sellers. */
export async function runClosingSellers(requests: number): Promise<readonly ClosingRow[]> {
  const forget = trustCertificate()
  try {
    const rows: ClosingRow[] = []
    for (const [name, start] of SELLERS)
      rows.push(await run(name, start, Math.ceil(requests / SELLERS.length)))
    return rows
  } finally {
    forget()
  }
}

async function run(name: string, start: () => Promise<ClosingSeller>, requests: number): Promise<ClosingRow> {
  const seller = await start()
  const tollway = await openGateway(seller.apiBase)
  try {
    let next = 0
    let served = 0
    const client = async (): Promise<void> => {
      while (next < requests) {
        next += 1
        const { status, body } = await ask(tollway.url, { model: 'paid/m', seed: next })
        await body?.cancel()
        if (status === 200) served += 1
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, client))
    const charges = await tollway.gateway.parts.ledger.store.charges({ limit: requests * 2 })
    const count = (state: string): number => charges.filter((charge) => charge.state === state).length
    const [settled, released, uncertain, read] = [
      count('settled'),
      count('released'),
      count('uncertain'),
      seller.payments(),
    ]
    const unread = Math.max(0, settled + uncertain - read)
    return { seller: name, requests, served, read, settled, released, uncertain, unread }
  } finally {
    await tollway.close()
    await seller.close()
  }
}

function openGateway(apiBase: string): Promise<TestGateway> {
  process.env['CLOSING_WALLET'] = `0x${'11'.repeat(32)}`
  return startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:CLOSING_WALLET}', networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: apiBase, payer: 'base' }],
      budgets: [{ name: 'all', limit_usd: '100.00', window: 'lifetime' }],
      timeouts: { first_byte_seconds: 5 },
      router: { cooldown_seconds: 0 },
    },
    { payers: new Map([['base', cash()]]) },
  )
}

let turn = 0
function soon(close: () => void): void {
  turn += 1
  setTimeout(close, DELAYS[turn % DELAYS.length])
}

async function startH1(close: (socket: Socket) => void, headers: Readonly<Record<string, string>> = {}) {
  let payments = 0
  const seller = await startRawSeller((socket, { isPaid }) => {
    const answer = isPaid ? completion() : OFFER
    const length = { 'content-length': String(Buffer.byteLength(answer.body)) }
    socket.write(raw(answer.status, { ...answer.headers, ...length, ...headers }, answer.body))
    if (isPaid) payments += 1
    else soon(() => close(socket))
  })
  return { apiBase: seller.apiBase, payments: () => payments, close: () => seller.close() }
}

async function startH2(close: (request: H2Request) => void) {
  const seller = await startH2Seller((request) => {
    const { status, headers, body }: Answer = request.isPaid ? completion() : OFFER
    request.stream.respond({ ':status': status, ...headers })
    request.stream.end(body)
    if (!request.isPaid) soon(() => close(request))
  })
  return {
    apiBase: seller.apiBase,
    payments: () => seller.requests.filter(({ isPaid }) => isPaid).length,
    close: () => seller.close(),
  }
}

/** The table, for people. */
export function renderClosing(rows: readonly ClosingRow[]): string {
  const header = ['SELLER', 'REQUESTS', 'SERVED', 'READ', 'SETTLED', 'RELEASED', 'UNCERTAIN', 'UNREAD']
  const lines = rows.map((row) => [
    row.seller,
    ...[row.requests, row.served, row.read, row.settled, row.released, row.uncertain, row.unread].map(String),
  ])
  return renderTable(header, lines)
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { requests: { type: 'string', default: '1000' } } })
  const rows = await runClosingSellers(Number(values.requests))
  process.stdout.write(`${renderClosing(rows)}\n`)
  process.exitCode = rows.every(({ unread, uncertain }) => unread === 0 && uncertain === 0) ? 0 : 1
}
