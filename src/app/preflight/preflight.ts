/**
 * What would keep a valid configuration from starting on this machine: addresses, files and keys. `tollway serve` looks before it
 * opens anything, so that everything is told at once; `tollway check` looks further.
 */
import { systemClock } from '../../core/clock.ts'
import type { LoadedConfig } from '../config/load.ts'
import { ConfigProblemsError, type Problem } from '../config/values/problems.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { loadExpress } from '../gateway/load-express.ts'
import { examineOtherFiles, examineRecords } from './examine-files.ts'
import { examineKeys } from './examine-keys.ts'
import { examineListeners } from './examine-listeners.ts'
import type { StartFault } from './start-fault.ts'

/** Addresses and files, before the gateway opens them: what can be looked at quickly and without touching a key. */
export async function preflight(config: ResolvedConfig): Promise<StartFault[]> {
  return await examineAll(config, false)
}

/**
 * {@link preflight}, and what only opening tells: the ledger's contents and the keys, which are gone from the environment
 * afterwards.
 * @param isOnline also ask remote signers
 * @param wallets takes the address that each payer pays from, as far as it is known
 */
export async function fullPreflight(
  config: ResolvedConfig,
  isOnline: boolean,
  wallets?: Map<string, string>,
): Promise<StartFault[]> {
  return [...(await examineKeys(config, isOnline, wallets)), ...(await examineAll(config, true))]
}

/** @throws ConfigError where Express is missing: no line of the configuration leads there */
async function examineAll(config: ResolvedConfig, isRead: boolean): Promise<StartFault[]> {
  await loadExpress()
  return [
    ...(await examineListeners(config)),
    ...(await examineRecords(config, isRead)),
    ...(await examineOtherFiles(config, systemClock.now())),
  ]
}

/**
 * @param faults those that keep the gateway from starting
 * @throws ConfigProblemsError naming each with its place in the file, unless there are none
 */
export function refuse(faults: readonly StartFault[], place: LoadedConfig['place']): void {
  if (faults.length === 0) return
  const problems = faults.map(({ path, message }): Problem => ({ ...place(path), message }))
  throw new ConfigProblemsError(
    problems.toSorted((a, b) => (a.position?.line ?? 0) - (b.position?.line ?? 0)),
  )
}
