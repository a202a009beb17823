/** Far more calls at once than the budgets hold, from several processes through several gateways on one ledger file. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../../src/app/config/load.ts'
import { localAccounts } from '../../../src/app/sandbox/chain/accounts.ts'
import { counted } from '../../../src/core/budget/budget.ts'
import { formatUsd } from '../../../src/core/money/money.ts'
import { verifyAudit } from '../../../src/io/audit/audit-verify.ts'
import { readBudgets } from '../../../src/io/ledger/budget-status.ts'
import { openStore } from '../../../src/io/ledger/open-store.ts'
import { nonceOf, startScriptedSeller } from '../../kit/scripted-seller.ts'
import { asking } from '../../kit/seller-answers.ts'
import { Child } from '../../kit/child.ts'
import type { ClientOutcome, ClientTask } from './client.ts'
import { MAIN } from '../../kit/program.ts'

const CLIENT = join(import.meta.dirname, 'client.ts')
const TAGS = ['team:a', 'team:b']
/** Of one call, atoms of USDC, which are micro-USD. */
const PRICE = 1000n

/** The size of a campaign. */
export interface OvershootPlan {
  /** All clients together. */
  readonly calls: number
  readonly clients: number
  readonly gateways: number
  /** How many calls the budgets hold. */
  readonly fits: number
  /** An empty Postgres ledger; a SQLite file of its own when left out. */
  readonly store?: string | undefined
}

/** A budget after it all, for one subject; atoms. */
export interface BudgetResult {
  readonly budget: string
  readonly subject: string
  readonly limit: bigint
  readonly counted: bigint
}

/** What a campaign came to. */
export interface OvershootResult {
  readonly paid: number
  readonly stopped: number
  readonly retried: number
  readonly other: readonly string[]
  readonly seconds: number
  /** Charges the ledger holds as settled, and in any other state but released. */
  readonly settled: number
  readonly open: number
  /** Payments the seller was sent, and how many of them carried a nonce for the second time. */
  readonly payments: number
  readonly repeatedNonces: number
  readonly budgets: readonly BudgetResult[]
  /** By how much all budgets together are over their limits, atoms. */
  readonly overshoot: bigint
  readonly auditsWhole: boolean
}

/** Runs a campaign; everything it starts has ended when it resolves. */
export async function runOvershoot(plan: OvershootPlan): Promise<OvershootResult> {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-overshoot-'))
  const seller = await startScriptedSeller({ unpaid: asking(PRICE) })
  const started: Child[] = []
  const start = (args: readonly string[]): Child => {
    const child = new Child(process.execPath, args, { cwd: directory, env: environment(plan) })
    started.push(child)
    return child
  }
  try {
    const configs = await writeConfigs(directory, plan, seller.apiBase)
    const gateways = configs.map((config) => start([MAIN, 'serve', '--config', config]))
    const urls = await Promise.all(
      gateways.map(async (gateway) => (await gateway.says(/ready at (http:\/\/\S+)\/v1/))[1] ?? ''),
    )
    const startedAt = performance.now()
    const outcomes = await Promise.all(
      tasksOf(plan, urls).map(async (task) => outcomeOf(start([CLIENT, JSON.stringify(task)]))),
    )
    const seconds = (performance.now() - startedAt) / 1000
    for (const gateway of gateways) gateway.kill('SIGTERM')
    for (const gateway of gateways) {
      const { code, stderr } = await gateway.end()
      if (code !== 0) throw new Error(`a gateway ended with ${code}:\n${stderr}`)
    }
    const sum = (pick: (outcome: ClientOutcome) => number): number =>
      outcomes.reduce((total, outcome) => total + pick(outcome), 0)
    return {
      paid: sum(({ paid }) => paid),
      stopped: sum(({ stopped }) => stopped),
      retried: sum(({ retried }) => retried),
      other: outcomes.flatMap(({ other }) => Object.keys(other)),
      seconds,
      payments: seller.payments.length,
      repeatedNonces: seller.payments.length - new Set(seller.payments.map(nonceOf)).size,
      ...(await readBooks(configs, environment(plan))),
    }
  } finally {
    for (const child of started) child.kill('SIGKILL')
    await Promise.allSettled(started.map((child) => child.end()))
    await seller.close()
    await rm(directory, { recursive: true, force: true })
  }
}

function environment({ clients }: OvershootPlan): NodeJS.ProcessEnv {
  const keys = Array.from({ length: clients }, (_, n) => [`OVERSHOOT_KEY_${n}`, keyOf(n)] as const)
  const wallet = { OVERSHOOT_WALLET: localAccounts().buyer.privateKey }
  return { ...process.env, NO_COLOR: '1', ...wallet, ...Object.fromEntries(keys) }
}

const keyOf = (client: number): string => `key-of-client-${client}`

/** One configuration per gateway: the ledger is one file, an audit file has one writer. */
async function writeConfigs(directory: string, plan: OvershootPlan, apiBase: string): Promise<string[]> {
  const { clients, gateways, fits } = plan
  const usd = (calls: number): string => `"${formatUsd(BigInt(Math.ceil(calls)) * PRICE)}"`
  const callers = Array.from(
    { length: clients },
    (_, n) => `  - { id: client-${n}, key: "\${env:OVERSHOOT_KEY_${n}}" }`,
  )
  // Each scope by itself would let a fifth more through than the limits over all.
  const shared = `listen: 127.0.0.1:0
store: "${plan.store ?? `sqlite:${join(directory, 'tollway.db')}`}"
callers:
${callers.join('\n')}
payers: { base: { kind: direct, key: "\${env:OVERSHOOT_WALLET}", networks: [base-sepolia] } }
model_list: [{ model_name: "paid/*", model: "*", api_base: "${apiBase}", payer: base }]
tags: { declared: ${JSON.stringify(TAGS)} }
budgets:
  - { name: day, limit_usd: ${usd(fits)}, window: day, timezone: ${noonZone(new Date())} }
  - { name: rolling, limit_usd: ${usd(fits)}, window: 24h }
  - { name: caller, per: caller, limit_usd: ${usd((fits / clients) * 1.2)}, window: lifetime }
  - { name: tag, per: tag, limit_usd: ${usd((fits / TAGS.length) * 1.2)}, window: 24h }
`
  return await Promise.all(
    Array.from({ length: gateways }, async (_, n) => {
      const path = join(directory, `gateway-${n}.yaml`)
      await writeFile(path, `${shared}audit: { path: ./audit-${n}.jsonl }\n`)
      return path
    }),
  )
}

/** A time zone in which midnight is hours away, so that the day does not end while the calls run. */
function noonZone(now: Date): string {
  const ahead = 12 - now.getUTCHours()
  if (ahead === 0) return 'UTC'
  return ahead > 0 ? `Etc/GMT-${ahead}` : `Etc/GMT+${-ahead}`
}

function tasksOf({ calls, clients }: OvershootPlan, urls: readonly string[]): ClientTask[] {
  return Array.from({ length: clients }, (_, n) => ({
    urls: urls.map((_url, at) => urls[(at + n) % urls.length] ?? ''),
    key: keyOf(n),
    tags: TAGS,
    calls: Math.floor(calls / clients) + (n < calls % clients ? 1 : 0),
    name: `client ${n}`,
  }))
}

async function outcomeOf(client: Child): Promise<ClientOutcome> {
  const { code, stdout, stderr } = await client.end()
  if (code !== 0) throw new Error(`a client ended with ${code}:\n${stderr}`)
  return JSON.parse(stdout) as ClientOutcome
}

async function readBooks(
  configs: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Pick<OvershootResult, 'settled' | 'open' | 'budgets' | 'overshoot' | 'auditsWhole'>> {
  const loaded = configs.map((path) => loadConfig(path, env))
  const [first] = loaded
  if (!first) throw new Error('a campaign needs a gateway')
  const verdicts = await Promise.all(loaded.map(({ audit }) => verifyAudit(audit.path)))
  const store = await openStore(first.store)
  try {
    const statuses = await readBudgets(store, first.budgets, Date.now())
    const budgets = statuses.map(({ rule, claim, totals }) => ({
      budget: rule.name,
      subject: claim.subject,
      limit: rule.limit,
      counted: counted(totals),
    }))
    const others = await Promise.all(
      (['held', 'authorized', 'uncertain'] as const).map((state) => store.sum(state)),
    )
    return {
      settled: (await store.sum('settled')).count,
      open: others.reduce((total, { count }) => total + count, 0),
      budgets,
      overshoot: budgets.reduce(
        (total, one) => total + (one.counted > one.limit ? one.counted - one.limit : 0n),
        0n,
      ),
      auditsWhole: verdicts.every(({ ok }) => ok),
    }
  } finally {
    await store.close()
  }
}
