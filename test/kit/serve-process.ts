/** The gateway as it is run: `tollway serve` in a process of its own, over files that stay between runs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { Child } from './child.ts'
import { MAIN } from './program.ts'

/** How to start a gateway. */
export interface ServeOptions {
  /** A command that runs the one behind it, such as `strace -f`. */
  readonly wrapper?: readonly string[] | undefined
  /** A module loaded before the gateway. */
  readonly preload?: string | undefined
}

/** A directory with a configuration, and what a gateway keeps there. */
export interface ServePlace {
  readonly directory: string
  readonly config: string
  readonly ledger: string
  readonly audit: string
  /** What the configuration looks up in the environment. */
  readonly env: Readonly<Record<string, string>>
  /** Starts the gateway. */
  start(options?: ServeOptions): Child
  /** Opens the ledger and gives it to `use`; no gateway should be using it. */
  withLedger<T>(use: (store: Store) => Promise<T>): Promise<T>
  remove(): void
}

/** Waits until a gateway is ready. */
export async function readyUrl(child: Child): Promise<string> {
  const [, url = ''] = await child.says(/ready at (http:\/\/\S+)\/v1/)
  return url
}

/** Makes a place. `config` is YAML beside `listen`, `store`, `audit` and the payer `base`. */
export function servePlace(config: string): ServePlace {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-serve-'))
  const [ledger, audit] = [join(directory, 'tollway.db'), join(directory, 'audit.jsonl')]
  const path = join(directory, 'tollway.yaml')
  writeFileSync(
    path,
    `listen: 127.0.0.1:0
store: sqlite:./tollway.db
audit: { path: ./audit.jsonl }
payers: { base: { kind: direct, key: "\${env:SERVE_WALLET}", networks: [base-sepolia] } }
${config}`,
  )
  const wallet = { SERVE_WALLET: localAccounts().buyer.privateKey }
  return {
    directory,
    config: path,
    ledger,
    audit,
    env: wallet,
    start({ wrapper = [], preload } = {}) {
      const node = [process.execPath, ...(preload === undefined ? [] : ['--import', preload])]
      const [command, ...args] = [...wrapper, ...node, MAIN, 'serve', '--config', path]
      // What is traced is Tollway's own writing: node writes compiled modules too, more than a trace keeps of one call.
      const traced = wrapper.length > 0 ? { NODE_DISABLE_COMPILE_CACHE: '1' } : {}
      const env = { ...process.env, NO_COLOR: '1', ...wallet, ...traced }
      return new Child(command, args, { cwd: directory, env })
    },
    async withLedger(use) {
      const store = await openStore(`sqlite:${ledger}`)
      try {
        return await use(store)
      } finally {
        await store.close()
      }
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}
