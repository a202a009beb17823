/** What `tollway check` says about who pays. Places of keys are named, keys never: they are not even read. */
import { findNetwork } from '../../../core/money/assets.ts'
import type { SecretReference, SignerReference } from '../../../core/payer/key-reference.ts'
import { formatUsd } from '../../../core/money/money.ts'
import type { ResolvedConfig, ResolvedPayer } from '../../config/resolve/resolved.ts'
import { renderTable } from './table.ts'

/** The payers as `--json` prints them. */
export function payerRules({ payers }: Pick<ResolvedConfig, 'payers'>) {
  return [...payers].map(([name, payer]) => ({
    name,
    kind: payer.kind,
    mode: 'mode' in payer ? payer.mode : null,
    networks: payer.networks,
    pays_by: waysOf(payer),
  }))
}

/** The same as a table for people; empty without payers. */
export function renderPayers(config: Pick<ResolvedConfig, 'payers'>): string {
  const rows = payerRules(config).map(({ name, networks, pays_by: ways }) => [
    name,
    networks.map(aliasOf).join(', ') || 'those of its vouchers',
    ways,
  ])
  return rows.length === 0 ? '' : renderTable(['PAYER', 'NETWORKS', 'PAYS BY'], rows)
}

/** How spend-page links are made where it is not as built in. */
export function explorerNotes({ explorers }: Pick<ResolvedConfig, 'explorers'>): string[] {
  return [...explorers].map(([network, address]) =>
    address === undefined
      ? `Transactions on ${aliasOf(network)} are shown without a link.`
      : `Transactions on ${aliasOf(network)} are linked to ${new URL(address).host}.`,
  )
}

function waysOf(payer: ResolvedPayer): string {
  if (payer.kind === 'direct' || payer.kind === 'solana') return `signing here: ${placeOf(payer.key)}`
  switch (payer.mode) {
    case 'wallet':
      return `signing here: the AgentCash wallet ${payer.wallet}`
    case 'mcp':
      return `one server of AgentCash (${payer.binary}), sent to a shim of ours; ${atOnce(payer.concurrency ?? 8)}`
    case 'cli':
      return `a process of AgentCash for each payment (${payer.binary}), sent to a shim of ours; ${atOnce(payer.concurrency ?? 2)}`
    case 'sidecar':
      return (
        `the x402-buyer at ${new URL(payer.url).host}, upstream of ${payer.model}: its url must be http://${payer.shim.host}:${payer.shim.port}; ` +
        atOnce(payer.concurrency ?? 1)
      )
    case 'pool': {
      const { paths, filledBy, limits } = payer
      const source = paths ? `vouchers in ${paths.config}` : 'vouchers that were bought'
      const filled = filledBy === undefined ? 'no key is held' : `${filledBy} signs new ones`
      const worth = limits.maxMicroUsd === undefined ? '' : ` and $${formatUsd(limits.maxMicroUsd)}`
      return `${source}, at most ${limits.maxCount}${worth} unused; ${filled}`
    }
    default:
      return payer satisfies never
  }
}

function placeOf(key: SignerReference): string {
  switch (key.source) {
    case 'env':
    case 'file':
      return secretPlace(key)
    case 'keystore':
      return `the keystore ${key.path}, its password from ${secretPlace(key.password)}`
    case 'agentcash':
      return `the AgentCash wallet ${key.path}`
    case 'remote':
      return `the remote signer at ${new URL(key.url).host}${key.address === undefined ? '' : `, as ${key.address}`}`
    default:
      return key satisfies never
  }
}

function secretPlace(secret: SecretReference): string {
  return secret.source === 'env' ? `the variable ${secret.name}` : `the file ${secret.path}`
}

function atOnce(count: number): string {
  return `at most ${count} at once`
}

function aliasOf(id: string): string {
  return findNetwork(id)?.alias ?? id
}
