/** What the commands on the catalogue share: the index, the reader of addresses, and the options of both. */
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import type { CatalogueContext } from '../../catalogue/catalogue.ts'
import { interruptible } from './buying-options.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from './options.ts'
import type { Terminal } from './terminal.ts'

/** Options of every command on the catalogue. */
export interface CatalogueOptions {
  readonly config: string
  readonly json: boolean
  readonly index?: string
  readonly allowPrivate: boolean
}

/** The index's file, beside the configuration. */
const INDEX_NAME = 'tollway-catalog.db'

/** Adds `--index`, `--allow-private`, `--config` and `--json`. */
export function withCatalogue(command: Command): Command {
  return command
    .option(
      '--index <file>',
      `the index of catalogues; ${INDEX_NAME} beside the configuration file if not given`,
    )
    .option('--allow-private', 'also read addresses on this machine and its network (for trials)', false)
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
}

/** Opens the index and the reader for a command, and closes them afterwards. Ctrl-C ends reading. */
export async function withIndex<T>(
  terminal: Terminal,
  options: CatalogueOptions,
  use: (context: CatalogueContext, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { CatalogueIndex } = await import('../../../io/catalogue/catalogue-index.ts')
  const { documentReader } = await import('../../catalogue/fetch-document.ts')
  const { systemClock } = await import('../../../core/clock.ts')
  const index = new CatalogueIndex(indexFile(options))
  const reader = documentReader(options.allowPrivate)
  try {
    return await interruptible(terminal, (signal) => use({ index, reader, clock: systemClock }, signal), {
      message: 'Stopped. What was read before is kept.',
    })
  } finally {
    await reader.close()
    index.close()
  }
}

/** Where the index is. */
export function indexFile({ index, config }: Pick<CatalogueOptions, 'index' | 'config'>): string {
  return index ?? join(dirname(config), INDEX_NAME)
}
