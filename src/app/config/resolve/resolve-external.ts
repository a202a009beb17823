import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { ListenAddress } from '../values/addresses.ts'
import type { CheckedExternalPayer } from '../schema/payers-external.ts'

/** A payer that signs with the AgentCash wallet file. */
interface ResolvedAgentcashWallet {
  readonly kind: 'agentcash'
  readonly mode: 'wallet'
  /** Absolute path. */
  readonly wallet: string
  /** CAIP-2 ids, without repetition. */
  readonly networks: readonly string[]
}

/** The AgentCash program. */
interface ResolvedAgentcashProgram {
  readonly kind: 'agentcash'
  readonly mode: 'mcp' | 'cli'
  /** Absolute path. */
  readonly binary: string
  /** Absolute path. */
  readonly home: string
  readonly args: readonly string[]
  readonly networks: readonly string[]
  readonly concurrency: number | undefined
  readonly timeoutMs: number
}

/** A running x402-buyer. */
interface ResolvedObolSidecar {
  readonly kind: 'obol'
  readonly mode: 'sidecar'
  readonly url: string
  readonly model: string
  readonly shim: ListenAddress
  readonly networks: readonly string[]
  readonly concurrency: number | undefined
  readonly maxValiditySeconds: number
  readonly timeoutMs: number
}

/** A payer that is another program, or whose key another program keeps. */
export type ResolvedExternalPayer = ResolvedAgentcashWallet | ResolvedAgentcashProgram | ResolvedObolSidecar

/**
 * Converts a checked entry to its final form.
 * @param directory base of relative paths
 */
export function resolveExternal(payer: CheckedExternalPayer, directory: string): ResolvedExternalPayer {
  const networks = [...new Set(payer.networks)]
  if (payer.kind === 'obol') {
    const { kind, mode, url, remote_model: model, shim, concurrency } = payer
    const times = { maxValiditySeconds: payer.max_validity_seconds, timeoutMs: payer.timeout_seconds }
    return { kind, mode, url, model, shim, networks, concurrency, ...times }
  }
  if ('binary' in payer) {
    const { kind, mode, args, concurrency } = payer
    const binary = resolve(directory, payer.binary)
    const home = resolve(directory, payer.home ?? homedir())
    return { kind, mode, binary, home, args, networks, concurrency, timeoutMs: payer.timeout_seconds }
  }
  const wallet = resolve(directory, payer.wallet ?? join(homedir(), '.agentcash', 'wallet.json'))
  return { kind: 'agentcash', mode: 'wallet', wallet, networks }
}
