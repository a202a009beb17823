/** Where a source of listings is: a known name, an address, a file or directory, or a registry on a chain. */
import { statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import type { SourceKind } from '../../core/catalogue/listing.ts'
import { ConfigError } from '../../core/errors.ts'
import { findEvmNetwork } from '../../core/money/assets.ts'
import { EVM_ADDRESS } from '../../core/evm.ts'
import { readUrl } from '../buying/endpoint.ts'

/** A source as it was named. */
export interface NamedSource {
  readonly name: string
  /** `undefined` when the document itself must tell. */
  readonly kind: SourceKind | undefined
  readonly address: string
}

/** Catalogues that need no address. */
export const KNOWN_SOURCES: Readonly<
  Record<string, { readonly kind: SourceKind; readonly address: string }>
> = {
  'pay.sh': { kind: 'pay-skills', address: 'https://catalog.pay.sh/v1/skills.json' },
  cdp: { kind: 'bazaar', address: 'https://api.cdp.coinbase.com/platform/v2/x402' },
  payai: { kind: 'bazaar', address: 'https://facilitator.payai.network' },
  circle: { kind: 'bazaar', address: 'https://api.circle.com/v2/x402' },
}

/** The registry of ERC-8004 agents: one address on all main networks, one on all test networks. */
const REGISTRY = '0x8004a169fb4a3325136eb29fa0ceb6d2e539a432'
const TEST_REGISTRY = '0x8004a818bfb912233c491871b3d84c89a494bd9e'
const TEST_NETWORK = /sepolia|amoy|fuji|hoodi|testnet|devnet/

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/

/**
 * Reads what a person typed.
 * @param name given with it; otherwise made from the address
 * @throws ConfigError
 */
export function nameSource(text: string, name: string | undefined): NamedSource {
  const known = Object.hasOwn(KNOWN_SOURCES, text) ? KNOWN_SOURCES[text] : undefined
  const source = known ? { ...known, name: text } : (registryOf(text) ?? placeOf(text))
  const chosen = name ?? source.name
  if (NAME.test(chosen)) return { ...source, name: chosen }
  throw new ConfigError(
    `"${chosen}" is no name for a source. Use lower-case letters, digits, ".", "_" and "-", at most 64: --name my-catalogue.`,
  )
}

/** `erc8004:base`, or with the address of a registry of its own behind it. */
function registryOf(text: string): NamedSource | undefined {
  if (!text.startsWith('erc8004:')) return undefined
  const rest = text.slice('erc8004:'.length)
  const [, place = '', given] = /^(.+?)(?::(0x[0-9a-fA-F]{40}))?$/.exec(rest) ?? []
  const network = findEvmNetwork(place)
  if (!network || (given !== undefined && !EVM_ADDRESS.test(given)))
    throw new ConfigError(
      `"${text}" names no registry. Write erc8004:<network>, such as erc8004:base, or erc8004:<network>:<address of the registry>.`,
    )
  const registry = given?.toLowerCase() ?? (TEST_NETWORK.test(network.alias) ? TEST_REGISTRY : REGISTRY)
  return {
    name: `erc8004-${network.alias.replaceAll(':', '-')}`,
    kind: 'erc8004',
    address: `erc8004:${network.id}:${registry}`,
  }
}

function placeOf(text: string): NamedSource {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    const path = resolve(text)
    if (statSync(path, { throwIfNoEntry: false }) === undefined)
      throw new ConfigError(
        `"${text}" is neither an address, such as https://seller.example.com, nor a file, nor one of ${Object.keys(KNOWN_SOURCES).join(', ')}.`,
      )
    return { name: nameOf(basename(path)), kind: undefined, address: path }
  }
  const url = readUrl(text)
  return { name: nameOf(url.host), kind: undefined, address: url.href }
}

function nameOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64)
}
