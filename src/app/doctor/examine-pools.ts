/** Voucher pools that are kept in files of x402-buyer. Pools in the ledger are listed by `tollway list`. */
import { inspectFiles } from '../obol/inspect-files.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { findingsOf, type Finding } from './finding.ts'

/** @param now milliseconds since the epoch */
export async function examinePools(
  config: Pick<ResolvedConfig, 'payers' | 'assets'>,
  now: number,
): Promise<Finding[]> {
  const { ok, note, warning, problem } = findingsOf('pools')
  const pools = [...config.payers].filter(([, payer]) => payer.kind === 'obol' && payer.mode === 'pool')
  if (pools.length === 0) return []
  const { upstreams, problems } = await inspectFiles(config, now)
  const inLedger = pools.filter(([, payer]) => payer.kind === 'obol' && payer.mode === 'pool' && !payer.paths)
  return [
    ...problems.map((text) => problem(text, 'Fix or remove the file; docs/obol.md describes its form.')),
    ...upstreams.map(({ name, ready, earliest_expiry: expiry }) =>
      ready === 0
        ? warning(`Pool ${name} has no voucher left.`, `Buy some: tollway refill ${name}.`)
        : ok(
            `Pool ${name} has ${ready} vouchers${expiry === null ? '' : `, the first valid until ${expiry}`}.`,
          ),
    ),
    ...inLedger.map(([name]) => note(`The vouchers of ${name} are in the ledger; tollway list shows them.`)),
  ]
}
