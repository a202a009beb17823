/**
 * Gateways on one ledger, paying clients, a real chain, official sellers; the gateways are killed again and again, and after each
 * restart the invariants are checked from outside. In the end the chain has the last word.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelFault } from '../../../src/app/sandbox/model/model.ts'
import { startWorld, type World } from '../../../src/app/sandbox/world.ts'
import { verifyAudit } from '../../../src/io/audit/audit-verify.ts'
import { openSqliteStore } from '../../../src/io/store/sqlite/store.ts'
import { readTrail, type AuditTrail } from './audit-trail.ts'
import { readBooks, readRemains, watchPeaks, type Snapshot } from './books.ts'
import { checkFinal, checkRunning } from './checks.ts'
import { Life } from './life.ts'
import { Limits } from './limits.ts'
import { FACILITATOR_TIMEOUT_MS, Load, type Answer } from './load.ts'
import type { Kill } from './plan.ts'
import { Random } from './random.ts'
import { Slot } from './slot.ts'
import { RARE } from './steps.ts'
import { Tally } from './tally.ts'
import { TokenWatch, type UsedNonce } from './token.ts'
import { CRASH_GATEWAY, MAIN } from '../../kit/program.ts'

/** How to run a campaign. */
export interface CampaignOptions {
  /** Drawn from as long as there are gateways to kill. */
  readonly kills: Iterable<Kill>
  readonly seed: number
  /** Where the ledger, the configurations and the audit files are kept; must exist. */
  readonly directory: string
  /** How many share the ledger, 1 to 26. */
  readonly gateways: number
  readonly clients: number
  /** Delayed settlements, failing sellers, clients that leave, slow blocks. */
  readonly faults: boolean
  /** How long a step that has not been come to is waited for, milliseconds; by default as long as the step is seldom. */
  readonly patienceMs?: number | undefined
  /** No kill begins after this, milliseconds since the epoch. */
  readonly deadline: number
  readonly log: (line: string) => void
}

/** What a campaign came to. */
export interface CampaignResult {
  readonly tally: Tally
  readonly violations: readonly string[]
  readonly answers: readonly Answer[]
  readonly requests: number
  /** Before the chain had the last word, and after. */
  readonly before: Snapshot
  readonly after: Snapshot
  readonly uses: readonly UsedNonce[]
  readonly trail: AuditTrail
  readonly limits: ReadonlyMap<string, bigint>
  readonly gateways: number
  readonly seconds: number
}

/** Seconds a signature is good for: short, so that releases happen all along and not only in the end. */
const VALIDITY_SECONDS = 16
/** How far the chain is moved on in the end: past all that was signed. */
const PAST_VALIDITY_SECONDS = VALIDITY_SECONDS * 10
/** A step that is not come to within this is given up for a kill by the clock, milliseconds. */
const PATIENCE_MS = 5_000
/** The same for steps that come seldom. */
const LONG_PATIENCE_MS = 10_000
/** A start takes a second; one that takes this long hangs, milliseconds. */
const START_MS = 30_000
/** Every so many kills blocks come slowly for a while. */
const SLOW_CYCLE = 40
const SLOW_KILLS = 14
/** An audit file holds this many lives: small files are verified in no time after each of them. */
const LIVES_PER_FILE = 40
/** After so many faults the rest says nothing new. */
const MAX_VIOLATIONS = 25

const KEY_VARIABLE = 'TOLLWAY_CRASH_KEY'
const ROOT = join(import.meta.dirname, '../../..')
const CLOCK = join(ROOT, 'test/kit/clock-ahead.ts')

/** Runs a campaign; ends everything it started. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const modelFaults: ModelFault[] = []
  const world = await startWorld({
    maxTimeoutSeconds: VALIDITY_SECONDS,
    facilitatorTimeoutMs: FACILITATOR_TIMEOUT_MS,
    chunkDelayMs: 8,
    faults: modelFaults,
  })
  try {
    return await new Campaign(options, world, modelFaults).run()
  } finally {
    await world.close()
  }
}

class Campaign {
  readonly #options: CampaignOptions
  readonly #world: World
  readonly #token: TokenWatch
  readonly #slots: readonly Slot[]
  readonly #kills: Iterator<Kill>
  readonly #limits: Limits
  readonly #load: Load
  readonly #tally = new Tally()
  readonly #violations: string[] = []
  readonly #dead = new Set<string>()
  /** Gateways that fell with another one. */
  readonly #felled = new Set<Slot>()
  readonly #startedAt = Date.now()
  #slow = false
  #over = false

  constructor(options: CampaignOptions, world: World, modelFaults: ModelFault[]) {
    const random = new Random(options.seed + 1)
    this.#options = options
    this.#world = world
    this.#token = new TokenWatch(world.chain)
    this.#slots = Array.from(
      { length: options.gateways },
      (_, index) => new Slot(String.fromCharCode(97 + index)),
    )
    this.#kills = options.kills[Symbol.iterator]()
    this.#limits = new Limits(random.fork())
    const { clients, faults } = options
    this.#load = new Load({
      world,
      targets: this.#slots,
      modelFaults,
      random: random.fork(),
      clients,
      faults,
    })
  }

  get #ledger(): string {
    return join(this.#options.directory, 'tollway.db')
  }

  async run(): Promise<CampaignResult> {
    const { chain } = this.#world
    const funds = await chain.balanceOf(chain.accounts.buyer.address)
    await mkdir(this.#auditDirectory)
    // Made by the product's own code and closed again: the triggers must be there before the first payment.
    await openSqliteStore({ path: this.#ledger }).close()
    watchPeaks(this.#ledger)
    await this.#warmUp()
    try {
      this.#load.start()
      await Promise.all(this.#slots.map((slot) => this.#lives(slot)))
      return await this.#finish(funds)
    } finally {
      this.#over = true
      for (const { life } of this.#slots) life?.kill('SIGKILL')
    }
  }

  get #auditDirectory(): string {
    return join(this.#options.directory, 'audit')
  }

  /** Lets Node keep its compiled code: what is killed never writes it. */
  async #warmUp(): Promise<void> {
    const { life } = await this.#spawn(new Slot('warm'), undefined)
    await life.ready
    life.kill('SIGTERM')
    await life.death
  }

  /** One life after the other, and in the end one that stays. */
  async #lives(slot: Slot): Promise<void> {
    while (Date.now() < this.#options.deadline && this.#violations.length < MAX_VIOLATIONS) {
      const next = this.#kills.next()
      if (next.done === true) break
      await this.#live(slot, next.value)
      await this.#paceBlocks()
    }
    const { life, spawnedAt } = await this.#spawn(slot, undefined)
    if (!(await this.#opened(slot, life, spawnedAt))) {
      throw new Error(`the last gateway of ${slot.name} did not start:\n${life.stderr}`)
    }
  }

  async #live(slot: Slot, kill: Kill): Promise<void> {
    const { life, spawnedAt } = await this.#spawn(slot, kill)
    const timers = new Set<NodeJS.Timeout>()
    const killAfter = (ms: number): void => {
      timers.add(setTimeout(() => this.#strike(slot, kill), ms))
    }
    killAfter(
      kill.kind === 'random' && kill.since === 'spawn'
        ? kill.delayMs
        : (this.#options.patienceMs ?? START_MS),
    )
    const checking = this.#opened(slot, life, spawnedAt).then((wasReady) => {
      if (wasReady) killAfter(this.#patienceFor(kill))
      return wasReady
    })
    const death = await life.death
    for (const timer of timers) clearTimeout(timer)
    const wasReady = await checking
    for (const timer of timers) clearTimeout(timer)
    const { inFlight } = slot
    slot.close()
    await this.#bury(slot, { kill, death, inFlight, wasReady, spawnedAt, life })
  }

  /** How long a gateway that listens has to live. */
  #patienceFor(kill: Kill): number {
    if (kill.kind === 'random') return kill.delayMs
    return this.#options.patienceMs ?? (RARE.has(kill.step) ? LONG_PATIENCE_MS : PATIENCE_MS)
  }

  #strike(slot: Slot, kill: Kill): void {
    slot.life?.kill('SIGKILL')
    if (kill.kind !== 'random' || !kill.all) return
    for (const other of this.#slots) {
      if (other === slot || other.url === undefined) continue
      other.life?.kill('SIGKILL')
      this.#felled.add(other)
    }
  }

  async #bury(
    slot: Slot,
    end: {
      readonly kill: Kill
      readonly death: Awaited<Life['death']>
      readonly inFlight: number
      readonly wasReady: boolean
      readonly spawnedAt: number
      readonly life: Life
    },
  ): Promise<void> {
    const { kill, death, inFlight, wasReady, life } = end
    if (death.signal !== 'SIGKILL') {
      this.#blame([`gateway ${slot.name} ended by itself with ${death.code}:\n${life.stderr.slice(-1_500)}`])
      return
    }
    const remains = readRemains(this.#ledger, life.pid, end.spawnedAt)
    if (remains.instance !== undefined) this.#dead.add(remains.instance)
    const collateral = this.#felled.delete(slot)
    this.#tally.blows.push({ kill, death, remains, wasReady, inFlight, slowBlocks: this.#slow, collateral })
    const audit = await verifyAudit(slot.auditPath).catch(() => undefined)
    if (audit && !audit.ok) this.#blame([`${slot.auditPath} after a kill: line ${audit.line}: ${audit.why}`])
    slot.torn = audit?.ok === true && audit.torn
    if (slot.torn) this.#tally.torn += 1
    const { length } = this.#tally.blows
    if (length % 25 === 0)
      this.#log(`${length} kills, ${this.#load.requests} requests, ${this.#violations.length} violations`)
  }

  async #spawn(slot: Slot, kill: Kill | undefined): Promise<{ life: Life; spawnedAt: number }> {
    this.#raiseLimits()
    const config = join(this.#options.directory, `gateway-${slot.name}.yaml`)
    if (slot.files === 0 || (slot.lives >= LIVES_PER_FILE && !slot.torn)) {
      slot.auditPath = join(this.#auditDirectory, `audit-${slot.name}-${slot.files}.jsonl`)
      slot.files += 1
      slot.lives = 0
    }
    slot.lives += 1
    // JSON is YAML.
    await writeFile(config, JSON.stringify(this.#config(slot.auditPath), undefined, 2))
    const args =
      kill?.kind === 'step'
        ? [CRASH_GATEWAY, config, kill.step, String(kill.nth)]
        : [MAIN, 'serve', '--config', config]
    const spawnedAt = Date.now()
    const life = new Life(args, this.#env())
    slot.life = life
    return { life, spawnedAt }
  }

  #env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(this.#options.directory, 'compiled'),
      [KEY_VARIABLE]: this.#world.chain.accounts.buyer.privateKey,
    }
  }

  /** Waits until it listens, and looks at everything then. @returns whether it came to that */
  async #opened(slot: Slot, life: Life, spawnedAt: number): Promise<boolean> {
    const dead = new Set(this.#dead)
    const url = await life.ready
    if (url === undefined) return false
    this.#tally.startMs.push(Date.now() - spawnedAt)
    slot.open(url, readRemains(this.#ledger, life.pid, spawnedAt).instance)
    // The chain first: what it has carried out by now was recorded before.
    const uses = [...(await this.#token.uses())]
    const books = readBooks(this.#ledger)
    const alive = new Set(this.#slots.flatMap((one) => (one.isAlive() ? (one.instance ?? []) : [])))
    this.#tally.checks += 1
    this.#blame(checkRunning({ books, uses, limits: this.#limits.largest, dead, alive }))
    const audit = await verifyAudit(slot.auditPath)
    if (!audit.ok) this.#blame([`${slot.auditPath} after a restart: line ${audit.line}: ${audit.why}`])
    return true
  }

  /** Only after the highest sums were held against the limits they were taken under. */
  #raiseLimits(): void {
    const books = readBooks(this.#ledger)
    this.#blame(
      checkRunning({ books, uses: [], limits: this.#limits.largest, dead: new Set(), alive: new Set() }),
    )
    this.#limits.raise(books, Date.now())
  }

  async #paceBlocks(): Promise<void> {
    const slow = this.#options.faults && this.#tally.blows.length % SLOW_CYCLE >= SLOW_CYCLE - SLOW_KILLS
    if (slow === this.#slow) return
    this.#slow = slow
    await this.#token.setSlowBlocks(slow)
  }

  async #finish(funds: bigint): Promise<CampaignResult> {
    const { chain } = this.#world
    this.#log(`${this.#tally.blows.length} kills done; the clients end their requests`)
    await this.#load.stop()
    await this.#token.setSlowBlocks(false)
    this.#log('the gateways close')
    for (const { life, name } of this.#slots) {
      life?.kill('SIGTERM')
      const death = await life?.death
      if (death?.code !== 0) this.#blame([`gateway ${name} closed with ${death?.code ?? death?.signal}`])
    }
    this.#log('the chain has the last word')
    const before = readBooks(this.#ledger)
    // Nothing that was signed can be carried out any more, and a final block says so.
    await chain.levers.increaseTime(PAST_VALIDITY_SECONDS)
    await this.#reconcile()
    const uses = await this.#token.uses()
    const after = readBooks(this.#ledger)
    const trail = await readTrail(this.#auditDirectory)
    const paidByBuyer = funds - (await chain.balanceOf(chain.accounts.buyer.address))
    const { answers } = this.#load
    this.#blame(trail.broken)
    this.#blame(
      checkRunning({ books: after, uses, limits: this.#limits.largest, dead: this.#dead, alive: new Set() }),
    )
    this.#blame(
      checkFinal({
        books: after,
        uses,
        paidByBuyer,
        intents: trail.intents,
        lastWords: trail.lastWords,
        answers,
      }),
    )
    return {
      tally: this.#tally,
      violations: this.#violations,
      answers,
      requests: this.#load.requests,
      before,
      after,
      uses,
      trail,
      limits: this.#limits.largest,
      gateways: this.#slots.length,
      seconds: Math.round((Date.now() - this.#startedAt) / 1000),
    }
  }

  /** `tollway reconcile`, as a person would run it; 0 says that nothing is uncertain any more. */
  async #reconcile(): Promise<void> {
    const config = join(this.#options.directory, 'reconcile.yaml')
    await writeFile(config, JSON.stringify(this.#config(join(this.#auditDirectory, 'audit-reconcile.jsonl'))))
    // Its clock is as far ahead as the chain was moved: what is still valid by the one is not released by the other.
    const env = { ...this.#env(), TEST_CLOCK_AHEAD_SECONDS: String(PAST_VALIDITY_SECONDS) }
    const life = new Life(['--import', CLOCK, MAIN, 'reconcile', '--config', config], env)
    const { code } = await life.death
    if (code !== 0) this.#blame([`tollway reconcile ended with ${code}:\n${life.stderr}`])
  }

  #config(auditPath: string): object {
    const { chain, seller, streamingSeller, v1Seller } = this.#world
    const route = (name: string, apiBase: string): object => ({
      model_name: `${name}/*`,
      model: '*',
      api_base: apiBase,
      payer: 'wallet',
    })
    return {
      listen: '127.0.0.1:0',
      store: `sqlite:${this.#ledger}`,
      audit: { path: auditPath },
      payers: { wallet: { kind: 'direct', key: `\${env:${KEY_VARIABLE}}`, networks: [chain.v1Network] } },
      model_list: [
        route('official', seller.apiBase),
        route('stream', streamingSeller.apiBase),
        route('v1', v1Seller.apiBase),
      ],
      budgets: this.#limits.asConfig(),
      chains: { [chain.v1Network]: { rpc: chain.rpcUrl } },
      reconcile: { interval_seconds: 1 },
      timeouts: { first_byte_seconds: 20, total_seconds: 30, shutdown_seconds: 20 },
    }
  }

  #blame(violations: readonly string[]): void {
    for (const violation of violations) {
      if (this.#violations.includes(violation)) continue
      this.#violations.push(violation)
      this.#log(`VIOLATION ${violation}`)
    }
  }

  #log(line: string): void {
    if (this.#over) return
    this.#options.log(`${((Date.now() - this.#startedAt) / 1000).toFixed(1).padStart(7)} s  ${line}`)
  }
}
