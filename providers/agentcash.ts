import type { Provider } from '../src/core/payer/provider.ts'
import { agentcashProgram, type AgentcashProgramOptions } from './agentcash/program.ts'
import { agentcashWallet, type AgentcashWalletOptions } from './agentcash/wallet.ts'

/** Options of {@link agentcash}: its wallet (default), or its program. */
export type AgentcashOptions =
  | (AgentcashWalletOptions & { readonly mode?: 'wallet' | undefined })
  | AgentcashProgramOptions

/**
 * Pays with AgentCash: with its wallet file, which a thread of our own reads (`mode: 'wallet'`, the default), or through
 * its own program, which keeps the key (`mode: 'mcp'` or `'cli'`, with `binary`).
 * @throws ConfigError for a mistake in the options, or a wallet that is missing, malformed or readable by others
 * @throws TollwayError `signer_unavailable` when the program does not start
 */
export async function agentcash(options: AgentcashOptions = {}): Promise<Provider> {
  if (options.mode === 'mcp' || options.mode === 'cli') return await agentcashProgram(options)
  const { mode: _mode, ...wallet } = options
  return await agentcashWallet(wallet)
}
