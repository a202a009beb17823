import type { Provider } from '../../core/payer/provider.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import { ConfigError } from '../../core/errors.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { isPool, openPayer } from '../wiring/open-payers.ts'
import { faultOf } from './examine-files.ts'
import type { StartFault } from './start-fault.ts'

/** How long a payer may take to say that it can pay, milliseconds. */
export const ANSWER_MS = 20_000

/**
 * Opens every payer as the gateway does, each key in a thread of its own, and closes them. A key in an environment variable is
 * gone from this process afterwards: for a command that ends, not for one that opens the gateway next.
 * @param isOnline also ask remote signers and programs that pay whether they can, for at most {@link ANSWER_MS} each
 * @param wallets takes the address that each payer pays from, as far as it is known
 */
export async function examineKeys(
  config: Pick<ResolvedConfig, 'payers' | 'chains'>,
  isOnline: boolean,
  wallets?: Map<string, string>,
  timers: Timers = systemTimers,
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
        if (isOnline) await canPay(provider, timers)
      })),
    )
  }
  // Only now: two payers on one variable must meet, as in the gateway.
  await Promise.allSettled(opened.map((payer) => payer.close()))
  return found
}

/** @throws TollwayError when the payer cannot pay now, ConfigError when it does not answer */
async function canPay(payer: Pick<Provider, 'check'>, timers: Timers): Promise<void> {
  const late = Promise.withResolvers<never>()
  const cancel = timers.after(ANSWER_MS, () => {
    late.reject(
      new ConfigError(
        `It did not say within ${ANSWER_MS / 1000} s whether it can pay. Start the program or signer behind it, or look at its log.`,
      ),
    )
  })
  try {
    await Promise.race([payer.check?.(), late.promise])
  } finally {
    cancel()
  }
}
