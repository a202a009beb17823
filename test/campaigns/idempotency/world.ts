/** Two gateways on one ledger, three sellers whose health changes, and routes that are renamed and reordered between attempts. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cash } from '../../../providers/cash.ts'
import { startGateway, type TestGateway } from '../../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller, type SellerRequest } from '../../kit/scripted-seller.ts'
import { challengeV2, completion, json, OFFER } from '../../kit/seller-answers.ts'

/** How a seller answers until its mood changes: the first three without a payment, the others once it was paid. */
export const MOODS = ['down', 'cut', 'dear', 'answers', 'answers', 'fails', 'loses', 'mumbles'] as const

/** One of {@link MOODS}. */
export type Mood = (typeof MOODS)[number]

/** How the routes of a gateway are written; all of them serve the model `paid/m`. */
export const LAYOUTS = ['pattern', 'exact', 'turned', 'renamed', 'alias'] as const

/** One of {@link LAYOUTS}. */
export type Layout = (typeof LAYOUTS)[number]

/** A seller and what it does next. */
export interface MoodySeller {
  readonly seller: ScriptedSeller
  mood: Mood
}

/** What a campaign runs against. */
export interface World {
  readonly sellers: readonly MoodySeller[]
  readonly gateways: readonly TestGateway[]
  /** Path of the ledger. */
  readonly ledger: string
  readonly clock: { now(): number; advance(ms: number): void }
  /** Called for every question, before the seller names its price. */
  onQuestion: () => void | Promise<void>
  /** Called for every payment, before the seller acts on it. */
  onPayment: (request: SellerRequest) => void | Promise<void>
  /** Replaces a gateway by one whose routes are written in another way. */
  restart(index: number, layout: Layout): Promise<void>
  /** How often each request was paid, by its mark. */
  paid(): ReadonlyMap<string, number>
  close(): Promise<void>
}

/** The model that a proxy in front falls back to. */
export const SUBSTITUTE = 'substitute'

/** What names a request in its body, so that its payments can be counted at the sellers. */
export const MARK = /"user":"([^"]+)"/

/** Starts it. */
export async function startWorld(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-repeats-'))
  process.env['REPEATS_WALLET'] = `0x${'11'.repeat(32)}`
  let now = Date.parse('2026-11-21T10:00:00Z')
  const clock = { now: () => now, advance: (ms: number) => void (now += ms) }
  const sellers: MoodySeller[] = []
  for (let index = 0; index < 3; index += 1)
    sellers.push(
      await startMoody(
        () => world.onQuestion(),
        (request) => world.onPayment(request),
      ),
    )
  const start = async (layout: Layout): Promise<TestGateway> =>
    await startGateway(
      {
        store: `sqlite:${join(directory, 'tollway.db')}`,
        payers: { base: { kind: 'direct', key: '${env:REPEATS_WALLET}', networks: ['base-sepolia'] } },
        ...routesOf(
          layout,
          sellers.map(({ seller }) => seller.apiBase),
        ),
        timeouts: { first_byte_seconds: 5, shutdown_seconds: 1 },
      },
      { clock, payers: new Map([['base', cash({ clock })]]) },
    )
  const gateways: TestGateway[] = []
  const world: World = {
    sellers,
    gateways,
    ledger: join(directory, 'tollway.db'),
    clock,
    onQuestion: () => undefined,
    onPayment: () => undefined,
    async restart(index, layout) {
      await gateways[index]?.close()
      gateways[index] = await start(layout)
    },
    paid() {
      const marks = sellers
        .flatMap(({ seller }) => seller.payments)
        .map(({ body }) => MARK.exec(body.toString())?.[1] ?? '')
      return new Map([...new Set(marks)].map((mark) => [mark, marks.filter((each) => each === mark).length]))
    },
    async close() {
      for (const gateway of gateways) await gateway.close()
      for (const { seller } of sellers) await seller.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
  for (const [index, layout] of (['pattern', 'exact'] as const).entries()) await world.restart(index, layout)
  return world
}

async function startMoody(
  asked: () => void | Promise<void>,
  told: (request: SellerRequest) => void | Promise<void>,
): Promise<MoodySeller> {
  const moody: { mood: Mood } = { mood: 'answers' }
  const seller = await startScriptedSeller(async (request, response) => {
    // Read once: a mood that changes between payment and answer is another seller's case.
    const { mood } = moody
    if (request.payment === undefined) {
      await asked()
      if (mood === 'down') return json({ error: { message: 'down' } }, {}, 503)
      if (mood === 'cut') return void response.destroy()
      return challengeV2([mood === 'dear' ? { ...OFFER, amount: '999999999' } : OFFER])
    }
    await told(request)
    if (mood === 'fails') return json({ error: { message: 'no' } }, {}, 500)
    if (mood === 'loses') return void response.destroy()
    if (mood === 'mumbles') return { ...completion(), body: '{"choices":[' }
    return completion()
  })
  return Object.assign(moody, { seller })
}

/** The model `paid/m` by every way that a configuration can serve it, and a model that proxies in front fall back to. */
function routesOf(layout: Layout, [a = '', b = '', c = '']: readonly string[]): object {
  const base = { payer: 'base', model: 'm' }
  const gold = { ...base, api_base: c, when: { headers: { 'x-tier': 'gold' } } }
  const substitute = { model_name: SUBSTITUTE, ...base, api_base: a }
  const router = { cooldown_seconds: 5, allowed_fails: 0, num_retries: 0 }
  switch (layout) {
    case 'pattern':
      return {
        model_list: [
          { model_name: 'paid/*', ...base, api_base: a },
          { model_name: 'paid/*', ...gold },
          { model_name: 'backup', ...base, api_base: b },
          substitute,
        ],
        router: { ...router, fallbacks: [{ 'paid/*': ['backup'] }] },
      }
    case 'exact':
      return {
        model_list: [
          { model_name: 'paid/m', ...base, api_base: a, order: 1 },
          { model_name: 'paid/m', ...base, api_base: b, order: 2 },
          substitute,
        ],
        router,
      }
    case 'turned':
      return {
        model_list: [
          { model_name: 'paid/m', ...base, api_base: b },
          { model_name: 'spare', ...base, api_base: a },
          { model_name: 'paid/m', ...gold },
          substitute,
        ],
        router: { ...router, strategy: 'weighted', fallbacks: [{ 'paid/m': ['spare'] }] },
      }
    case 'renamed':
      return { model_list: [{ model_name: 'p*', ...base, api_base: c }, substitute], router }
    case 'alias':
      return {
        model_list: [{ model_name: 'other', ...base, api_base: b }, substitute],
        router: { ...router, aliases: { 'paid/m': 'other' } },
      }
    default:
      return layout satisfies never
  }
}
