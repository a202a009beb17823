/** Commands of `tollway` in this process, against a world of their own and with a key in a file, as users run them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { run } from '../../src/app/cli/run.ts'
import type { LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { startPermit2Seller, type Permit2Seller } from '../../src/app/sandbox/sellers/permit2-seller.ts'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { startRemoteSigner, type RemoteSigner } from './remote-signer.ts'

/** How a command ended. */
export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
  /** What it printed, as JSON. */
  json(): unknown
}

/** A directory with a configuration, a ledger and a key. */
export interface Shop {
  readonly directory: string
  readonly config: string
  /** The configuration's object, `changes` on top. */
  settings(changes?: object): Record<string, unknown>
  /** Writes another configuration beside the first; returns its path. */
  write(name: string, settings: object): string
  /** Runs a command; `--config` is added. */
  tollway(...args: readonly string[]): Promise<Ended>
  remove(): void
}

/**
 * Sets one up: payer `base` signs, payer `bought` spends what was bought.
 * @param signer who signs instead of a key in a file: it is there once for all commands
 */
export function openShop(
  chain: Pick<LocalChain, 'accounts' | 'v1Network' | 'rpcUrl'>,
  changes: object = {},
  signer?: Pick<RemoteSigner, 'url' | 'token'>,
): Shop {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-buying-'))
  const key = join(directory, 'key')
  writeFileSync(key, signer?.token ?? chain.accounts.buyer.privateKey, { mode: 0o600 })
  const secret = `\${file:${key}}`
  const signing = signer ? { signer: { url: signer.url, token: secret } } : { key: secret }
  const base = {
    listen: '127.0.0.1:0',
    store: `sqlite:${join(directory, 'tollway.db')}`,
    audit: { path: join(directory, 'audit.jsonl') },
    payers: {
      base: { kind: 'direct', ...signing, networks: [chain.v1Network] },
      bought: { kind: 'obol', mode: 'pool', reload_seconds: 0 },
    },
    chains: { [chain.v1Network]: { rpc: chain.rpcUrl } },
    log: { level: 'silent' },
    ...changes,
  }
  const write = (name: string, settings: object): string => {
    const path = join(directory, name)
    writeFileSync(path, stringify(settings))
    return path
  }
  const config = write('tollway.yaml', base)
  return {
    directory,
    config,
    settings: (more = {}) => ({ ...base, ...more }),
    write,
    async tollway(...args) {
      const terminal = new FakeTerminal()
      const own = args.includes('--config') ? args : [...args, '--config', config]
      const code = await run(own, terminal)
      const { out, err } = terminal
      return { code, out, err, json: (): unknown => JSON.parse(out) }
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

/** A chain without block time, the official sellers, one that takes Permit2, and a signer that holds the buyer's key. */
export interface BuyingWorld {
  readonly world: World
  readonly permit2: Permit2Seller
  readonly signer: RemoteSigner
  close(): Promise<void>
}

/** Starts one. */
export async function startBuyingWorld(): Promise<BuyingWorld> {
  const world = await startWorld({ blockTimeSeconds: 0 })
  const { chain, facilitator } = world
  const signer = await startRemoteSigner([chain.accounts.buyer.privateKey])
  const permit2 = await startPermit2Seller({
    facilitatorUrl: facilitator.url,
    payTo: chain.accounts.seller.address,
    network: chain.network,
    token: chain.token,
  })
  return {
    world,
    permit2,
    signer,
    async close() {
      for (const part of [permit2, signer, world]) await part.close()
    },
  }
}
