import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import type { Buyer } from '../../catalogue/buyer.ts'
import { printJson } from '../shared/buying-options.ts'
import { withCatalogue, withIndex, type CatalogueOptions } from '../shared/catalogue-options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { DEFAULT_CONFIG, wholeNumber } from '../shared/options.ts'
import type { Terminal } from '../shared/terminal.ts'

interface FindOptions extends CatalogueOptions {
  readonly probe: boolean
  readonly online: boolean
  readonly limit: number
  readonly source?: string
}

/** Adds `tollway find`. */
export function addFind(program: Command, context: CommandContext): void {
  const { terminal } = context
  withCatalogue(
    program
      .command('find')
      .description('find who sells a model or meets a need, and the route that would use it; never pays')
      .argument('<words...>', 'a model, a service or a need')
      .option('--probe', 'ask each seller for its price now, without paying', false)
      .option('--online', 'also ask the Bazaars among the sources', false)
      .option('-s, --source <name>', 'only this source')
      .option('-n, --limit <n>', 'show at most so many', wholeNumber(1, 20), 5),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway find qwen3.5
  tollway find qwen3.5 --probe
  tollway find "send a text message" --online --json

What is found is a proposal. The route pins payee, token and network as the catalogue names them, so that a 402 which
differs is refused; --probe shows the difference. Fill the catalogue first: tollway catalog add <address>.
${EXIT_CODES_HELP}`,
    )
    .action(async (words: readonly string[], options: FindOptions) => {
      const { find } = await import('../../catalogue/find.ts')
      const { sourceOf } = await import('../../catalogue/catalogue.ts')
      const report = await import('../output/find-report.ts')
      const buyer = await openBuyer(options.config, terminal)
      await withIndex(terminal, options, async (catalogue, signal) => {
        const { source, limit, probe, online } = options
        if (source !== undefined) sourceOf(catalogue.index, source)
        const request = { words: words.join(' '), limit, source, isProbing: probe, isOnline: online }
        const all = await find(catalogue, request, buyer, signal)
        if (options.json) printJson(terminal, report.foundJson(all))
        else terminal.stdout(report.renderFound(all))
        context.end(all.found.length > 0 ? EXIT.done : EXIT.failed)
      })
    })
}

/** Who would pay: the configuration's payers, or the wallet in the environment. No key is read. */
async function openBuyer(path: string, { env }: Terminal): Promise<Buyer> {
  const { buyerOf } = await import('../../catalogue/buyer.ts')
  const { loadConfigForReading, parseConfig } = await import('../../config/load.ts')
  const { loadCommandConfig, hasWallet } = await import('../../config/command-config.ts')
  const isThere = path !== DEFAULT_CONFIG || existsSync(path) || hasWallet(env)
  return buyerOf(isThere ? loadCommandConfig(path, env, loadConfigForReading) : parseConfig({}, env))
}
