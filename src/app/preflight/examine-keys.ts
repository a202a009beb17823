import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { isPool, openPayer } from '../wiring/open-payers.ts'
import { faultOf } from './examine-files.ts'
import type { StartFault } from './start-fault.ts'

/**
 * Opens every payer as the gateway does, each key in a thread of its own, and closes them. A key in an environment variable is
 * gone from this process afterwards: for a command that ends, not for one that opens the gateway next.
 * @param isOnline also ask remote signers
 * @param wallets takes the address that each payer pays from, as far as it is known
 */
export async function examineKeys(
  config: Pick<ResolvedConfig, 'payers' | 'chains'>,
  isOnline: boolean,
  wallets?: Map<string, string>,
): Promise<StartFault[]> {
  const found: StartFault[] = []
  const opened: { close(): Promise<void> }[] = []
  for (const [name, payer] of config.payers) {
    if (isPool(payer)) continue
    if (!isOnline && payer.kind === 'direct' && payer.key.source === 'remote') continue
    found.push(
      ...(await faultOf(['payers', name], async () => {
        const provider = await openPayer(payer, config, { opened })
        opened.push(provider)
        if (provider.address !== undefined) wallets?.set(name, provider.address)
      })),
    )
  }
  // Only now: two payers on one variable must meet, as in the gateway.
  await Promise.allSettled(opened.map((payer) => payer.close()))
  return found
}
