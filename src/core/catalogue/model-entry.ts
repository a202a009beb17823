/** The entry of `model_list` that would use a listing: text to read, change and paste. */
import { canonicalAddress } from '../money/address.ts'
import { findNetwork } from '../money/assets.ts'
import type { Listing } from './listing.ts'

/** What the entry pins. */
export interface EntryTerms {
  /** Name of the payer; `undefined` when none is configured. */
  readonly payer: string | undefined
  /** CAIP-2. */
  readonly network: string | undefined
  readonly asset: string | undefined
  readonly payTo: string | undefined
}

/**
 * An entry as YAML. Payee, asset and network are those of the catalogue, where it names them, and never those of a 402 alone.
 * @param apiBase of the seller
 * @returns `undefined` for a listing that is no model
 */
export function modelEntry(
  { kind, model, name }: Listing,
  apiBase: string,
  terms: EntryTerms,
): string | undefined {
  if (kind !== 'inference' && kind !== 'agent') return undefined
  const remote = model ?? (kind === 'agent' ? name : '*')
  // A configuration would read a secret in its place.
  if (`${remote}${apiBase}`.includes('${')) return undefined
  const lines = [
    'model_list:',
    `  - model_name: ${quoted(`paid/${remote}`)}`,
    `    model: ${quoted(remote)}`,
    `    api_base: ${quoted(apiBase)}`,
    `    payer: ${terms.payer ?? 'wallet'}${terms.payer === undefined ? ' # no payer is configured yet: tollway init' : ''}`,
    ...pinLines(terms),
  ]
  return `${lines.join('\n')}\n`
}

function pinLines({ network, asset, payTo }: EntryTerms): string[] {
  const place = network === undefined ? undefined : findNetwork(network)
  if (!place || network === undefined) return []
  const token = asset === undefined ? undefined : canonicalAddress(network, asset)
  const payee = payTo === undefined ? undefined : canonicalAddress(network, payTo)
  return [
    '    pin:',
    `      network: ${quoted(place.alias)}`,
    ...(token === undefined ? [] : [`      asset: ${quoted(token)}`]),
    ...(payee === undefined ? [] : [`      pay_to: [${quoted(payee)}]`]),
  ]
}

/** A YAML string in double quotes, which are JSON's: nothing of a stranger's text can leave them. */
function quoted(text: string): string {
  return JSON.stringify(text)
}
