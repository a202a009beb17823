import type { Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import { printJson } from '../shared/buying-options.ts'
import { withCatalogue, withIndex, type CatalogueOptions } from '../shared/catalogue-options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { wholeNumber } from '../shared/options.ts'

const PROPOSALS =
  'What a catalogue lists is a proposal: nothing of it is paid before you write a route, and no price of it is believed.\n'

/** Adds `tollway catalog` and its commands. */
export function addCatalog(program: Command, context: CommandContext): void {
  const catalog = program
    .command('catalog')
    .description('keep a local index of what sellers and catalogues list')
    .addHelpText(
      'after',
      `
Examples:
  tollway catalog add https://seller.example.com
  tollway catalog search qwen
  tollway catalog refresh
${PROPOSALS}${EXIT_CODES_HELP}`,
    )
  addAdd(catalog, context)
  addList(catalog, context)
  addRefresh(catalog, context)
  addSearch(catalog, context)
  addShow(catalog, context)
  addRemove(catalog, context)
}

interface AddArguments extends CatalogueOptions {
  readonly name?: string
  readonly fromBlock?: number
}

function addAdd(catalog: Command, { terminal }: CommandContext): void {
  withCatalogue(
    catalog
      .command('add')
      .description('add a catalogue or a seller and read it')
      .argument(
        '<address>',
        'a seller, a document, a file or directory, pay.sh, cdp, payai, circle, or erc8004:<network>',
      )
      .option('--name <name>', 'name of the source; made from the address if not given')
      .option(
        '--from-block <n>',
        'of a registry of agents: the first block to read',
        wholeNumber(0, 999_999_999),
      ),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway catalog add https://seller.example.com
  tollway catalog add https://seller.example.com/openapi.json --name seller
  tollway catalog add ./paysh-catalog
  tollway catalog add pay.sh
  tollway catalog add erc8004:base --config tollway.yaml

Read are /api/services.json, /openapi.json and /discovery/resources of a seller or facilitator, pay.sh's catalog.json and
unsupported.json, and pay-skills' skills.json and PAY.md. A directory is searched for files of these names.
${EXIT_CODES_HELP}`,
    )
    .action(async (address: string, options: AddArguments) => {
      const { addSource } = await import('../../catalogue/catalogue.ts')
      const report = await import('../output/catalog-report.ts')
      await withIndex(terminal, options, async (context, signal) => {
        const { name, fromBlock } = options
        const first = fromBlock === undefined ? undefined : BigInt(fromBlock)
        const source = await addSource(context, address, { name, fromBlock: first }, signal)
        const now = context.clock.now()
        if (options.json) printJson(terminal, report.sourceJson(source, now))
        else terminal.stdout(report.renderSources([source], now))
      })
    })
}

function addList(catalog: Command, { terminal }: CommandContext): void {
  withCatalogue(
    catalog.command('list').description('show the sources, how many listings each has, and how old they are'),
  )
    .addHelpText(
      'after',
      `\nExamples:\n  tollway catalog list\n  tollway catalog list --json\n${EXIT_CODES_HELP}`,
    )
    .action(async (options: CatalogueOptions) => {
      const report = await import('../output/catalog-report.ts')
      await withIndex(terminal, options, ({ index, clock }) => {
        const sources = index.sources()
        if (options.json)
          printJson(
            terminal,
            sources.map((source) => report.sourceJson(source, clock.now())),
          )
        else terminal.stdout(report.renderSources(sources, clock.now()))
        return Promise.resolve()
      })
    })
}

function addRefresh(catalog: Command, context: CommandContext): void {
  const { terminal } = context
  withCatalogue(
    catalog.command('refresh').description('read the sources again').argument('[source]', 'only this one'),
  )
    .addHelpText(
      'after',
      `\nExamples:\n  tollway catalog refresh\n  tollway catalog refresh pay.sh\n\nA source that cannot be read keeps the listings of before. Then the exit code is 1.\n${EXIT_CODES_HELP}`,
    )
    .action(async (name: string | undefined, options: CatalogueOptions) => {
      const { refreshSources } = await import('../../catalogue/catalogue.ts')
      const report = await import('../output/catalog-report.ts')
      await withIndex(terminal, options, async (catalogue, signal) => {
        const done = await refreshSources(catalogue, name, signal)
        const sources = done.map(({ source }) => source)
        const now = catalogue.clock.now()
        if (options.json)
          printJson(
            terminal,
            sources.map((source) => report.sourceJson(source, now)),
          )
        else terminal.stdout(report.renderSources(sources, now))
        context.end(done.some(({ failure }) => failure !== undefined) ? EXIT.failed : EXIT.done)
      })
    })
}

interface SearchOptions extends CatalogueOptions {
  readonly source?: string
  readonly limit: number
}

function addSearch(catalog: Command, context: CommandContext): void {
  const { terminal } = context
  withCatalogue(
    catalog
      .command('search')
      .description('search the listings; without words, list them by service')
      .argument('[words...]', 'a model, a service or a need')
      .option('-s, --source <name>', 'only this source')
      .option('-n, --limit <n>', 'show at most so many', wholeNumber(1, 1000), 20),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway catalog search qwen3.5
  tollway catalog search parse an invoice --limit 5
  tollway catalog search --source pay.sh --json

Asks nobody: only the index is read.
${EXIT_CODES_HELP}`,
    )
    .action(async (words: readonly string[], options: SearchOptions) => {
      const { sourceOf } = await import('../../catalogue/catalogue.ts')
      const report = await import('../output/catalog-report.ts')
      await withIndex(terminal, options, ({ index }) => {
        const { source, limit } = options
        if (source !== undefined) sourceOf(index, source)
        const text = words.join(' ')
        const found = text.trim() === '' ? index.all(limit, source) : index.search(text, limit, source)
        if (options.json) printJson(terminal, found.map(report.listingJson))
        else terminal.stdout(report.renderListings(found))
        context.end(found.length > 0 ? EXIT.done : EXIT.failed)
        return Promise.resolve()
      })
    })
}

function addShow(catalog: Command, { terminal }: CommandContext): void {
  withCatalogue(
    catalog
      .command('show')
      .description('show all that is known of one listing, with the history of its price')
      .argument('<listing>', 'as `tollway catalog search` names it: <source>/<id>'),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway catalog show paysh-catalog/wolfram-alpha
  tollway catalog show paysh-catalog/wolfram-alpha --json

--json has the entry as the catalogue published it, fields that Tollway does not know included.
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, options: CatalogueOptions) => {
      const report = await import('../output/catalog-report.ts')
      await withIndex(terminal, options, ({ index, clock }) => {
        const cut = name.indexOf('/')
        const found = cut < 1 ? undefined : index.find(name.slice(0, cut), name.slice(cut + 1))
        if (!found)
          throw new ConfigError(
            `No listing is named "${name}". Names are shown by: tollway catalog search <words>.`,
          )
        const probes = report.probesOf(index, found.listing)
        const { raw } = found.listing
        if (options.json)
          printJson(terminal, {
            ...report.listingJson(found),
            probes: probes.map(report.probeJson),
            published: raw === undefined ? null : (JSON.parse(raw) as unknown),
          })
        else terminal.stdout(report.renderListing(found, probes, clock.now()))
        return Promise.resolve()
      })
    })
}

function addRemove(catalog: Command, { terminal }: CommandContext): void {
  withCatalogue(
    catalog
      .command('remove')
      .description('forget a source and its listings')
      .argument('<source>', 'name of the source'),
  )
    .addHelpText('after', `\nExamples:\n  tollway catalog remove pay.sh\n${EXIT_CODES_HELP}`)
    .action(async (name: string, options: CatalogueOptions) => {
      const { sourceOf } = await import('../../catalogue/catalogue.ts')
      await withIndex(terminal, options, ({ index }) => {
        const { listings } = sourceOf(index, name)
        index.removeSource(name)
        if (options.json) printJson(terminal, { removed: name, listings })
        else terminal.stdout(`Removed ${name} and its ${listings} listings.\n`)
        return Promise.resolve()
      })
    })
}
