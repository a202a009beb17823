/** The payers in `tollway check`. It names the place of each key and never reads the key. */
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

/** The payers as a table for people; empty without payers. */
export function renderPayers(config: Pick<ResolvedConfig, 'payers'>): string {
  const rows = payerRules(config).map(({ name, networks, pays_by: ways }) => [
    name,
    networks.map(aliasOf).join(', ') || 'those of its vouchers',
    ways,
  ])
  return rows.length === 0 ? '' : renderTable(['PAYER', 'NETWORKS', 'PAYS BY'], rows)
}

/** Where each payer's money is: what must be funded. @param wallets addresses by payer */
export function renderWallets(
  { payers }: Pick<ResolvedConfig, 'payers'>,
  wallets: ReadonlyMap<string, string>,
): string {
  const rows = [...wallets].map(([name, address]) => [
    name,
    address,
    (payers.get(name)?.networks ?? []).map(aliasOf).join(', '),
  ])
  return renderTable(['PAYER', 'PAYS FROM', 'ON'], rows)
}

/** Notes on networks whose block explorer differs from the built-in one. */
export function explorerNotes({ explorers }: Pick<ResolvedConfig, 'explorers'>): string[] {
  return [...explorers].map(([network, address]) =>
    address === undefined
      ? `Transactions on ${aliasOf(network)} are shown without a link.`
      : `Transactions on ${aliasOf(network)} are linked to ${new URL(address).host}.`,
  )
}

function waysOf(payer: ResolvedPayer): string {
  if (payer.kind === 'direct' || payer.kind === 'solana') return `signs in the gateway: ${placeOf(payer.key)}`
  switch (payer.mode) {
    case 'wallet':
      return `signs in the gateway: the AgentCash wallet ${payer.wallet}`
    case 'mcp':
      return `one AgentCash server (${payer.binary}) that pays through a local shim; ${atOnce(payer.concurrency ?? 8)}`
    case 'cli':
      return `one AgentCash process per payment (${payer.binary}) that pays through a local shim; ${atOnce(payer.concurrency ?? 2)}`
    case 'sidecar':
      return (
        `the x402-buyer at ${new URL(payer.url).host}, upstream of ${payer.model}: its url must be http://${payer.shim.host}:${payer.shim.port}; ` +
        atOnce(payer.concurrency ?? 1)
      )
    case 'pool': {
      const { paths, filledBy, limits } = payer
      const source = paths ? `vouchers in ${paths.config}` : 'vouchers bought with tollway buy'
      const filled = filledBy === undefined ? 'no key in the gateway' : `${filledBy} signs new ones`
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
    case 'credential':
      return secretPlace(key)
    case 'keystore':
      return `the keystore ${key.path}, with the password from ${secretPlace(key.password)}`
    case 'agentcash':
      return `the AgentCash wallet ${key.path}`
    case 'remote':
      return `the remote signer at ${new URL(key.url).host}${key.address === undefined ? '' : `, as ${key.address}`}`
    default:
      return key satisfies never
  }
}

function secretPlace(secret: SecretReference): string {
  if (secret.source === 'file') return `the file ${secret.path}`
  return `the ${secret.source === 'env' ? 'environment variable' : 'credential'} ${secret.name}`
}

function atOnce(count: number): string {
  return `at most ${count} at once`
}

function aliasOf(id: string): string {
  return findNetwork(id)?.alias ?? id
}
