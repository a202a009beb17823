import type { Command } from 'commander'
import { systemClock } from '../../../core/clock.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'

interface CommonOptions {
  readonly config: string
  readonly json: boolean
}

interface TrustOptions extends CommonOptions {
  readonly anyPayee?: boolean
  readonly price?: string
  readonly network?: string
  readonly asset?: string
  readonly model?: string
  readonly path?: string
}

const RECORD =
  '\nChanges are recorded in a separate audit file next to the one of the gateway (audit.jsonl: audit.cli.jsonl).\nA running gateway applies them from its next payment.\n'

/** Adds `tollway sellers` and its commands. */
export function addSellers(program: Command, context: CommandContext): void {
  const sellers = program
    .command('sellers')
    .description('list and change pinned payee addresses and prices')
    .addHelpText(
      'after',
      `
Examples:
  tollway sellers list
  tollway sellers trust https://seller.example.com/v1 0x209693bc6afc0c5328ba36faf03c514ef312287c
${EXIT_CODES_HELP}`,
    )
  addList(sellers, context)
  addTrust(sellers, context)
  addForget(sellers, context)
}

function addList(sellers: Command, { terminal }: CommandContext): void {
  sellers
    .command('list')
    .description('show the pinned payees and prices')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway sellers list
  tollway sellers list --json
${EXIT_CODES_HELP}`,
    )
    .action(async (options: CommonOptions) => {
      const { config, report, json, sellers: work } = await load(options, terminal.env, false)
      const known = await work.listSellers(config)
      terminal.stdout(
        options.json ? jsonText(json.sellersJson(known, config)) : report.renderSellers(known, config),
      )
    })
}

function addTrust(sellers: Command, { terminal }: CommandContext): void {
  sellers
    .command('trust')
    .description('pin a payee address, a price or both, replacing earlier pins')
    .argument('<api_base>', 'the api_base of the paid route')
    .argument('[pay_to]', 'payee address')
    .option(
      '--any-payee',
      'the seller may name another payee in each request; price and budget limits still apply',
    )
    .option('-p, --price <amount>', 'expected price of a request, in whole tokens')
    .option('-n, --network <name>', 'only on this network')
    .option('-a, --asset <symbol>', 'only for this token, by symbol or address')
    .option('-m, --model <name>', "pin the price for this model only, by the seller's name")
    .option('--path <path>', 'pin the price for this path only, such as /chat/completions')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway sellers trust https://seller.example.com/v1 0x209693bc6afc0c5328ba36faf03c514ef312287c
  tollway sellers trust https://seller.example.com/v1 --price 0.0025 --model qwen
  tollway sellers trust https://seller.example.com/v1 --any-payee --network base
${RECORD}${EXIT_CODES_HELP}`,
    )
    .action(async (apiBase: string, payTo: string | undefined, options: TrustOptions) => {
      const { anyPayee, price, network, asset, model, path } = options
      const { config, report, json, sellers: work } = await load(options, terminal.env, true)
      const request = { apiBase, payTo, anyPayee, price, network, asset, model, path }
      const changed = await work.trustSeller(config, request, systemClock)
      terminal.stdout(
        options.json ? jsonText(json.sellersJson(changed, config)) : report.renderTrusted(changed, config),
      )
    })
}

function addForget(sellers: Command, { terminal }: CommandContext): void {
  sellers
    .command('forget')
    .description("remove a seller's pins: the next payment pins it again")
    .argument('<api_base>', 'the api_base of the paid route')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway sellers forget https://seller.example.com/v1
${RECORD}${EXIT_CODES_HELP}`,
    )
    .action(async (apiBase: string, options: CommonOptions) => {
      const { config, sellers: work } = await load(options, terminal.env, true)
      const forgotten = await work.forgetSeller(config, apiBase, systemClock)
      const { pins, prices } = forgotten
      terminal.stdout(
        options.json
          ? `${JSON.stringify({ api_base: apiBase, ...forgotten }, undefined, 2)}\n`
          : `Removed: ${pins} ${pins === 1 ? 'payee' : 'payees'}, ${prices} ${prices === 1 ? 'price' : 'prices'}.\n`,
      )
    })
}

/** Imported late so that help and usage errors appear at once. Changes are audited, and audit records may be signed. */
async function load(options: CommonOptions, env: CommandContext['terminal']['env'], isWriting: boolean) {
  const { loadConfigForReading } = await import('../../config/load.ts')
  return {
    config: loadConfigForReading(options.config, env, isWriting ? ['audit'] : []),
    report: await import('../output/sellers-report.ts'),
    json: await import('../../operations/seller-json.ts'),
    sellers: await import('../../operations/seller-pins.ts'),
  }
}

function jsonText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
