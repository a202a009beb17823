/** What `tollway init` asks a person at a terminal. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../../../core/errors.ts'
import type { FoundSeller } from '../../init/find-seller.ts'
import { priceOf } from '../output/catalog-report.ts'
import { indexFile, withIndex, type CatalogueOptions } from '../shared/catalogue-options.ts'
import type { Terminal } from '../shared/terminal.ts'

/** Asks one question. @returns what was typed, or the default for an empty line */
export async function answer(
  { ask }: Terminal,
  value: string | undefined,
  question: string,
  otherwise: string,
): Promise<string> {
  if (value !== undefined || !ask) return value ?? otherwise
  const text = (await ask(`${question}${otherwise === '' ? '' : ` [${otherwise}]`}: `)).trim()
  return text === '' ? otherwise : text
}

/** Whether a text is meant as an address: everything else is looked for. */
export function isAddress(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text)
}

/**
 * Looks for a model in the index of catalogues. A person chooses among several; a script gets the best match.
 * @throws ConfigError if nothing fits
 */
export async function chooseSeller(
  words: string,
  { dir, index, network }: { readonly dir: string; readonly index?: string; readonly network?: string },
  terminal: Terminal,
  asks: boolean,
): Promise<FoundSeller> {
  const options: CatalogueOptions = { config: join(dir, 'tollway.yaml'), json: false, allowPrivate: false }
  const place = { ...options, ...(index === undefined ? {} : { index }) }
  const { findSellers } = await import('../../init/find-seller.ts')
  const found = existsSync(indexFile(place))
    ? await withIndex(terminal, place, (context, signal) => findSellers(context, words, network, signal))
    : []
  const [first] = found
  if (!first)
    throw new ConfigError(
      `No catalogue here lists "${words}"${network === undefined ? '' : ` on ${network}`}. Read one first with tollway catalog add <address>, or give the seller's address with --seller; nothing was written.`,
    )
  if (!asks || !terminal.ask || found.length === 1) return first
  terminal.stdout(found.map(lineOf).join(''))
  const typed = await answer(terminal, undefined, 'Which one', '1')
  const chosen = /^\d+$/.test(typed) ? found[Number(typed) - 1] : undefined
  if (chosen) return chosen
  throw new ConfigError(`"${typed}" is none of 1 to ${found.length}; nothing was written.`)
}

function lineOf({ model, found: { listing } }: FoundSeller, position: number): string {
  return `  ${position + 1}  ${model.model}  ${priceOf(listing)}  ${model.apiBase}\n`
}
