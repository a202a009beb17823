import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { LocalAccount } from '../../src/app/sandbox/chain/accounts.ts'

/** The stand-in for the program. */
export const AGENTCASH_STUB = resolve(import.meta.dirname, 'agentcash-stub.ts')

/** A home directory with an AgentCash wallet in it. */
export interface AgentcashHome {
  readonly path: string
  readonly wallet: string
  /** Makes the stub fail from now on. */
  fail(faults: { cause?: string; die?: boolean; isNameless?: boolean }): Promise<void>
  /** How often the stub was started, with which arguments and environment. */
  calls(): Promise<{ argv: string[]; env: Record<string, string> }[]>
  close(): Promise<void>
}

/** Makes one. */
export async function agentcashHome({ address, privateKey }: LocalAccount): Promise<AgentcashHome> {
  const path = await mkdtemp(join(tmpdir(), 'tollway-agentcash-home-'))
  const directory = join(path, '.agentcash')
  const wallet = join(directory, 'wallet.json')
  await mkdir(directory, { mode: 0o700 })
  const text = JSON.stringify({ privateKey, address, createdAt: new Date().toISOString() })
  await writeFile(wallet, text, { mode: 0o600 })
  return {
    path,
    wallet,
    fail: (faults) => writeFile(join(directory, 'stub.json'), JSON.stringify(faults)),
    async calls() {
      const lines = (await readFile(join(directory, 'calls.log'), 'utf8')).trimEnd().split('\n')
      return lines.map((line) => JSON.parse(line) as { argv: string[]; env: Record<string, string> })
    },
    close: () => rm(path, { recursive: true, force: true }),
  }
}
