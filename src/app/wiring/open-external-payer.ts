import { agentcashProgram } from '../../../providers/agentcash/program.ts'
import { agentcashWallet } from '../../../providers/agentcash/wallet.ts'
import { obolSidecar } from '../../../providers/obol/sidecar.ts'
import type { Clock } from '../../core/clock.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { ResolvedExternalPayer } from '../config/resolve/resolve-external.ts'

/**
 * Opens a payer that is another program, or that uses the other program's key.
 * @param nodes JSON-RPC addresses by CAIP-2 id
 * @throws ConfigError, TollwayError `signer_unavailable`
 */
export async function openExternalPayer(
  payer: ResolvedExternalPayer,
  nodes: Readonly<Record<string, string>>,
  clock: Clock | undefined,
): Promise<Provider> {
  switch (payer.mode) {
    case 'wallet': {
      const { wallet, networks } = payer
      return await agentcashWallet({ wallet, networks, nodes, clock })
    }
    case 'mcp':
    case 'cli': {
      const { kind: _kind, ...options } = payer
      return await agentcashProgram({ ...options, clock })
    }
    case 'sidecar': {
      const { kind: _kind, mode: _mode, ...options } = payer
      return await obolSidecar({ ...options, clock })
    }
    default:
      return payer satisfies never
  }
}
