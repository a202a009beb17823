/** A payment world whose time tests can move, and gateways that read its chain. */
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import type { Logger } from 'pino'
import type { Charge } from '../../src/core/charge/charge.ts'
import type { Observer } from '../../src/core/telemetry/events.ts'
import { openChain } from '../../src/io/chain/chain.ts'
import { startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'

/** See the file's head. */
export interface TimedWorld extends World {
  /** The gateways' clock: the chain's time goes on with it. */
  readonly clock: { now(): number }
  /** Moves chain and clock on by so many seconds, and makes that final. */
  advance(seconds: number): Promise<void>
  /** Makes everything that is on the chain final. */
  finalize(): Promise<void>
}

/** Seconds a payment stays valid here. */
export const VALIDITY_SECONDS = 60

/** Starts one. */
export async function startTimedWorld(): Promise<TimedWorld> {
  const world = await startWorld({ maxTimeoutSeconds: VALIDITY_SECONDS })
  let ahead = 0
  const advance = async (seconds: number): Promise<void> => {
    await world.chain.levers.increaseTime(seconds)
    // Blocks mined in one second are a second apart: the chain may be further ahead than was asked for.
    const { timestamp } = await reader.block(await reader.newest())
    ahead = Math.max(ahead, timestamp * 1000 - Date.now())
  }
  const { network, rpcUrl: rpc } = world.chain
  const reader = openChain({ network, rpc, finality: 'finalized' })
  // A block's time is in whole seconds: the final one must be later than what was signed in its second.
  return Object.assign(world, {
    clock: { now: () => Date.now() + ahead },
    advance,
    finalize: () => advance(1),
  })
}

/** A gateway that pays on the world's chain and reads it; it looks only when it is told to. */
export async function startReader(
  world: TimedWorld,
  routes: Readonly<Record<string, string>>,
  options: {
    rpc?: string
    config?: object
    finality?: 'safe' | 'finalized'
    observers?: readonly Observer[]
    log?: Logger
  } = {},
): Promise<TestGateway> {
  const { rpc = world.chain.rpcUrl, finality = 'finalized' } = options
  return await startGateway(
    {
      payers: { base: walletPayer(world.chain) },
      model_list: Object.entries(routes).map(([name, api_base]) => ({
        model_name: `${name}/*`,
        model: '*',
        api_base,
        payer: 'base',
      })),
      budgets: [{ name: 'all', limit_usd: '1.00', window: 'lifetime' }],
      chains: { [world.chain.v1Network]: { rpc, finality } },
      reconcile: { interval_seconds: 86_400 },
      ...options.config,
    },
    {
      clock: world.clock,
      ...(options.observers ? { observers: options.observers } : {}),
      ...(options.log ? { log: options.log } : {}),
    },
  )
}

/** The newest charge. @throws {Error} when there is none */
export async function newest(gateway: TestGateway): Promise<Charge> {
  const [charge] = await gateway.gateway.parts.ledger.store.charges({ limit: 1 })
  if (!charge) throw new Error('there is no charge')
  return charge
}

/** A charge as it is now. @throws {Error} when it is gone */
export async function again(gateway: TestGateway, { id }: Charge): Promise<Charge> {
  const charge = await gateway.gateway.parts.ledger.store.charge(id)
  if (!charge) throw new Error(`there is no charge ${id}`)
  return charge
}

/** Lets a gateway look at every charge. */
export async function reconcile(gateway: TestGateway) {
  return await gateway.gateway.parts.reconciler.run({ all: true })
}

/** What a gateway's budget counts, in atomic units of USDC. */
export async function counted(gateway: TestGateway): Promise<{ spent: bigint; uncertain: bigint }> {
  const { ledger, config } = gateway.gateway.parts
  const [budget] = await ledger.budgets(config.budgets)
  return { spent: budget?.totals.spent ?? 0n, uncertain: budget?.totals.uncertain ?? 0n }
}
