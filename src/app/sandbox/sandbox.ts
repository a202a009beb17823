/** The local payment environment with a gateway in front: everything is real except the money. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Observer } from '../../core/telemetry/events.ts'
import { parseConfig } from '../config/load.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { createGateway, type Gateway } from '../gateway/gateway.ts'
import { sellerRoutes } from './own-config.ts'
import { playPorts } from './play-config.ts'
import { startWorld, type World } from './world.ts'

/** The variable from which the sandbox's signer reads its key, one of the chain's published test keys. */
const KEY_VARIABLE = 'TOLLWAY_SANDBOX_KEY'

/** Interval of blocks while idle: without new blocks the last payment would never become final, nor be proven. */
const IDLE_BLOCK_MS = 2000

/** How to start a sandbox. */
export interface SandboxOptions {
  /** TCP port of the gateway; 0 takes a free one. */
  readonly port: number
  /** Seconds between blocks; 0 mines every transaction at once. */
  readonly blockTimeSeconds: number
  readonly observers?: readonly Observer[] | undefined
  /** A configuration of `tollway init --sandbox`: chain and sellers listen where it says, and the gateway follows it. */
  readonly config?: ResolvedConfig | undefined
}

/** A running sandbox. */
export interface Sandbox {
  readonly world: World
  readonly gateway: Gateway
  /** The gateway's origin. */
  readonly url: string
  /** Directory of the store and the audit file while the sandbox runs. */
  readonly directory: string
  /** Stops everything, including the chain's process, and removes the files. */
  close(): Promise<void>
}

/**
 * Starts chain, token, facilitator, sellers and gateway.
 * @throws SandboxPackagesMissingError with the install command; or the error of the part that did not start
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-sandbox-'))
  const ends: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })]
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).toReversed()) await end()
  }
  try {
    const { blockTimeSeconds, config: own } = options
    const ports = own && playPorts(own)
    const world = await startWorld({ blockTimeSeconds, chunkDelayMs: 60, ports })
    ends.push(() => world.close())
    if (options.blockTimeSeconds === 0) {
      const beat = setInterval(() => void world.chain.levers.mine(1).catch(() => undefined), IDLE_BLOCK_MS)
      beat.unref()
      ends.push(async () => clearInterval(beat))
    }
    const env = { ...process.env, [KEY_VARIABLE]: world.chain.accounts.buyer.privateKey }
    const config = own ?? parseConfig(configFor(world, options.port, directory), env)
    const log = pino({ name: 'tollway', level: 'warn' }, pino.destination(2))
    const gateway = await createGateway(config, {
      log,
      observers: options.observers,
      ...(own ? {} : { addressFrom: '--port' }),
    })
    ends.push(() => gateway.close())
    const { url } = await gateway.listen()
    return { world, gateway, url, directory, close }
  } catch (error) {
    await close()
    throw error
  }
}

function configFor(world: World, port: number, directory: string): unknown {
  return {
    listen: `127.0.0.1:${port}`,
    store: `sqlite:${join(directory, 'tollway.db')}`,
    audit: { path: join(directory, 'audit.jsonl') },
    payers: { wallet: { kind: 'direct', key: `\${env:${KEY_VARIABLE}}`, networks: [world.chain.v1Network] } },
    model_list: sellerRoutes(world, 'wallet'),
    // It has the id of a public network, whose explorer knows none of these transactions.
    explorers: { [world.chain.v1Network]: 'none' },
    // Only the sandbox writes to this chain, so its blocks are final at once.
    chains: { [world.chain.v1Network]: { rpc: world.chain.rpcUrl, finality: 'safe' } },
    reconcile: { interval_seconds: 2 },
    budgets: [{ name: 'sandbox', limit_usd: '1.00', window: 'day' }],
  }
}
