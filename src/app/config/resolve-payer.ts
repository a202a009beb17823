import type { CheckedPayer } from './payers.ts'
import type { ResolvedPayer } from './resolved.ts'
import { parseReference } from './secrets.ts'

/**
 * Brings a checked entry of `payers` into its final form.
 * @param directory where relative paths start
 */
export function resolvePayer(payer: CheckedPayer, directory: string): ResolvedPayer {
  switch (payer.kind) {
    case 'direct': {
      const key = parseReference(payer.key, directory)
      if (key === undefined) throw new TypeError('a wallet key that is no reference passed the checks')
      return { kind: 'direct', key, networks: [...new Set(payer.networks)] }
    }
    default:
      return payer.kind satisfies never
  }
}
