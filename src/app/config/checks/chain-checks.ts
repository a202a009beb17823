/** Checks networks, nodes and tokens of a configuration against each other. */
import { canonicalAddress, isSolanaNetwork } from '../../../core/money/address.ts'
import { BUILT_IN_ASSETS, findAsset, findNetwork, isNamedNetwork } from '../../../core/money/assets.ts'
import type { RouteFinding } from '../reading/explain.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import { items, type Fields } from './config-item.ts'

/** A payment on Solana is signed with a recent block hash from a configured node. */
export function checkSolana(config: Fields): RouteFinding[] {
  const payers = isPlainObject(config['payers']) ? config['payers'] : {}
  const chains = isPlainObject(config['chains']) ? Object.keys(config['chains']) : []
  const read = new Set(chains.map((name) => findNetwork(name)?.id))
  return Object.entries(payers).flatMap(([name, entry]): RouteFinding[] => {
    if (!isPlainObject(entry) || entry['kind'] !== 'solana' || !Array.isArray(entry['networks'])) return []
    return entry['networks'].flatMap((network: unknown, index): RouteFinding[] => {
      const found = typeof network === 'string' ? findNetwork(network) : undefined
      if (!found || !isSolanaNetwork(found.id) || read.has(found.id)) return []
      const message = `has no node. Add one, such as chains: { ${found.alias}: { rpc: "\${env:SOLANA_RPC}" } }: a payment on Solana is signed with a recent block hash of a node you trust.`
      return [{ path: ['payers', name, 'networks', index], message }]
    })
  })
}

/** A network that is named only by its id may be a typo, and without a token nothing can be paid there. */
export function checkTokens(config: Fields): RouteFinding[] {
  const payers = isPlainObject(config['payers']) ? Object.entries(config['payers']) : []
  const declared = new Set(
    items(config, 'assets').map(({ fields }) =>
      typeof fields['network'] === 'string' ? findNetwork(fields['network'])?.id : undefined,
    ),
  )
  return payers.flatMap(([name, entry]): RouteFinding[] => {
    const networks = isPlainObject(entry) && Array.isArray(entry['networks']) ? entry['networks'] : []
    return networks.flatMap((network: unknown, index): RouteFinding[] => {
      const id = typeof network === 'string' ? findNetwork(network)?.id : undefined
      const isKnown = id === undefined || isNamedNetwork(id) || declared.has(id)
      if (isKnown || BUILT_IN_ASSETS.some((asset) => asset.network === id)) return []
      const line = `assets: [{ network: "${id}", address: "0x…", symbol: USDC, decimals: 6, usd: "1", name: "USD Coin", version: "2" }]`
      const message = `has no token that could be paid with. Correct the chain id, or add its token: ${line}.`
      return [{ path: ['payers', name, 'networks', index], message }]
    })
  })
}

export function checkAssets(config: Fields): RouteFinding[] {
  const seen = new Map<string, number>()
  return items(config, 'assets').flatMap(({ path, fields }, index): RouteFinding[] => {
    const findings: RouteFinding[] = []
    if ((fields['name'] === undefined) !== (fields['version'] === undefined)) {
      findings.push({
        path,
        message:
          'has one of name and version. They are the two halves of the EIP-712 domain: give both or none.',
      })
    }
    const network = typeof fields['network'] === 'string' ? findNetwork(fields['network'])?.id : undefined
    const address = fields['address']
    if (network === undefined || typeof address !== 'string') return findings
    if (canonicalAddress(network, address) === undefined) {
      const kind = isSolanaNetwork(network) ? 'a mint on Solana' : 'an EVM contract'
      findings.push({
        path: [...path, 'address'],
        message: `is not the address of ${kind}, as ${network} needs.`,
      })
    }
    if (fields['program'] !== undefined && !isSolanaNetwork(network)) {
      findings.push({
        path: [...path, 'program'],
        message: 'has a meaning on Solana only. Remove it.',
      })
    }
    if (fields['methods'] !== undefined && isSolanaNetwork(network)) {
      findings.push({
        path: [...path, 'methods'],
        message: 'has a meaning on EVM networks only. Remove it.',
      })
    }
    const built = findAsset(BUILT_IN_ASSETS, network, address)
    if (built?.usd !== undefined) {
      findings.push({ path, message: `is ${built.symbol} on ${network}, which is built in. Remove it.` })
    } else if (built !== undefined && fields['decimals'] !== built.decimals) {
      const message = `is ${built.symbol} on ${network}, which has ${built.decimals} decimals. Correct decimals.`
      findings.push({ path, message })
    }
    const id = `${network}/${canonicalAddress(network, address) ?? address}`
    const first = seen.get(id)
    if (first === undefined) seen.set(id, index)
    else findings.push({ path, message: `is the same token as assets[${first}]. Remove one of the two.` })
    return findings
  })
}

/** An alias and its CAIP-2 id are the same network. */
export function checkChains(config: Fields): RouteFinding[] {
  const names = isPlainObject(config['chains']) ? Object.keys(config['chains']) : []
  return names.flatMap((name, index): RouteFinding[] => {
    const id = findNetwork(name)?.id
    const first = names.slice(0, index).find((other) => id !== undefined && findNetwork(other)?.id === id)
    return first === undefined
      ? []
      : [{ path: ['chains', name], message: `is the same network as ${first}. Remove one of the two.` }]
  })
}
