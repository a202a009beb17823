/** `tollway init` itself: a wallet and a first configuration. */
import { InvalidArgumentError, type Command } from 'commander'
import { evmNetworkNames, findEvmNetwork } from '../../../core/money/assets.ts'
import { parseUsd } from '../../../core/money/money.ts'
import { suggestName } from '../../../io/names/nearest-name.ts'
import type { Started } from '../../init/starter.ts'
import type { StarterFacts } from '../../init/starter-config.ts'
import { interruptible, printJson } from '../shared/buying-options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import type { Terminal } from '../shared/terminal.ts'

interface StarterOptions {
  readonly dir: string
  readonly seller?: string
  readonly network?: string
  readonly dailyUsd?: string
  readonly ceilingUsd?: string
  readonly sandbox: boolean
  readonly yes: boolean
  readonly force: boolean
  readonly json: boolean
}

const DEFAULTS = { network: 'base-sepolia', dailyUsd: '5.00', ceilingUsd: '0.10' } as const

/** Adds the options and the action to `tollway init`. */
export function addStarter(init: Command, { terminal }: CommandContext): void {
  init
    .option('--dir <dir>', 'where the files go', '.')
    .option('--seller <url>', 'address of a seller or its catalogue; asked for its price, unpaid')
    .option(
      '--network <name>',
      `network to pay on (default: the seller's, else ${DEFAULTS.network})`,
      network,
    )
    .option('--daily-usd <amount>', `budget per day (default: ${DEFAULTS.dailyUsd})`, usd)
    .option('--ceiling-usd <amount>', `most for one request (default: ${DEFAULTS.ceilingUsd})`, usd)
    .option('--sandbox', "play money: pay the sandbox's sellers; installs its parts with npm", false)
    .option('-y, --yes', 'ask no questions: use the defaults for options not given', false)
    .option('--force', 'replace an existing tollway.yaml (a copy is kept); a wallet is never replaced', false)
    .option('--json', 'print JSON; asks nothing', false)
    .action(async (given: StarterOptions) => {
      if (given.sandbox) {
        const { initSandbox } = await import('./init-sandbox.ts')
        return await initSandbox(given, terminal)
      }
      // Imported here so that help and usage errors appear at once.
      const { start } = await import('../../init/starter.ts')
      const options = given.yes || given.json ? given : await askMissing(given, terminal)
      const { facts, warning } = await factsOf(options, terminal)
      const started = start({ ...facts, directory: options.dir, force: options.force })
      if (options.json)
        printJson(terminal, { ...asJson(started), network: facts.network, warning: warning ?? null })
      else terminal.stdout(await render(started, facts, warning, terminal))
    })
}

async function factsOf(
  { seller, network: wanted, dailyUsd, ceilingUsd }: StarterOptions,
  terminal: Terminal,
): Promise<{ readonly facts: StarterFacts; readonly warning: string | undefined }> {
  const limits = { dailyUsd: dailyUsd ?? DEFAULTS.dailyUsd, ceilingUsd: ceilingUsd ?? DEFAULTS.ceilingUsd }
  if (seller === undefined || seller === '')
    return { facts: { ...limits, network: wanted ?? DEFAULTS.network, models: [] }, warning: undefined }
  const { findModels } = await import('../../init/find-models.ts')
  const { BUILT_IN_ASSETS } = await import('../../../core/money/assets.ts')
  const found = await interruptible(terminal, (signal) => findModels(seller, BUILT_IN_ASSETS, signal), {
    message: 'Stopped. Nothing was written.',
  })
  const offered =
    found.networks.find((name) => name === wanted) ?? (wanted === undefined ? found.networks[0] : undefined)
  const elsewhere =
    wanted !== undefined && offered === undefined && found.networks.length > 0
      ? `The seller takes payments on ${found.networks.join(', ')}, not on ${wanted}.`
      : undefined
  return {
    facts: { ...limits, network: wanted ?? offered ?? DEFAULTS.network, models: found.models },
    warning: elsewhere ?? found.warning,
  }
}

/** Asks for the missing options on an interactive terminal. */
async function askMissing(given: StarterOptions, { ask }: Terminal): Promise<StarterOptions> {
  if (!ask) return given
  const answer = async (value: string | undefined, question: string, otherwise: string): Promise<string> => {
    if (value !== undefined) return value
    const text = (await ask(`${question}${otherwise === '' ? '' : ` [${otherwise}]`}: `)).trim()
    return text === '' ? otherwise : text
  }
  const seller = await answer(given.seller, 'Address of a seller (empty: add one later)', '')
  const dailyUsd = usd(await answer(given.dailyUsd, 'Budget per day, USD', DEFAULTS.dailyUsd))
  const ceilingUsd = usd(await answer(given.ceilingUsd, 'Most for one request, USD', DEFAULTS.ceilingUsd))
  return { ...given, seller, dailyUsd, ceilingUsd }
}

function asJson({ config, address, isNewWallet, files, backup }: Started): Readonly<Record<string, unknown>> {
  return { config, address, new_wallet: isNewWallet, files, backup: backup ?? null }
}

async function render(
  { address, isNewWallet, files, backup }: Started,
  { network: name, models }: StarterFacts,
  warning: string | undefined,
  { isInteractive }: Terminal,
): Promise<string> {
  const qr = isInteractive === true ? `\n${(await import('uqr')).renderUnicodeCompact(address)}\n` : ''
  const next =
    models.length === 0
      ? 'Next: add a seller to tollway.yaml, then run tollway check and tollway serve.'
      : 'Next: run tollway doctor, then tollway serve.'
  return [
    ...files.map((file) => `wrote ${file}`),
    ...(backup === undefined ? [] : [`kept ${backup}`]),
    ...(warning === undefined ? [] : ['', `Note: ${warning}`]),
    '',
    `${isNewWallet ? 'New wallet' : 'Wallet'}: ${address}`,
    `Send USDC on ${name} to this address; a few dollars are enough.${qr}`,
    'Keep wallet.json and wallet.password: whoever has both has the money, and without them it is lost.',
    next,
    '',
  ].join('\n')
}

function usd(text: string): string {
  const amount = text.replace(/^\$/, '')
  if ((parseUsd(amount) ?? 0n) > 0n) return amount
  throw new InvalidArgumentError('It must be a decimal amount of USD, such as 5.00.')
}

function network(text: string): string {
  const known = findEvmNetwork(text)
  if (known) return known.alias
  throw new InvalidArgumentError(`It must be an EVM network. ${suggestName(text, evmNetworkNames())}`)
}
