/** `tollway init` itself: a wallet and a first configuration. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import { evmNetworkNames, findEvmNetwork } from '../../../core/money/assets.ts'
import { parseUsd } from '../../../core/money/money.ts'
import { suggestName } from '../../../io/names/nearest-name.ts'
import { WALLET_FORMS } from '../../init/wallet-forms.ts'
import type { OwnWallet } from '../../init/own-wallet.ts'
import type { Started } from '../../init/starter.ts'
import type { StarterFacts } from '../../init/starter-config.ts'
import { interruptible, printJson } from '../shared/buying-options.ts'
import { answer, chooseSeller, isAddress } from '../questions/init-questions.ts'
import type { CommandContext } from '../shared/command-context.ts'
import type { Terminal } from '../shared/terminal.ts'

interface StarterOptions {
  readonly dir: string
  readonly wallet?: string
  readonly passwordFile?: string
  readonly seller?: string
  readonly find?: string
  readonly index?: string
  readonly network?: string
  readonly dailyUsd?: string
  readonly ceilingUsd?: string
  readonly sandbox: boolean
  readonly yes: boolean
  readonly force: boolean
  readonly json: boolean
}

const DEFAULTS = { network: 'base-sepolia', dailyUsd: '5.00', ceilingUsd: '0.10' } as const

const WALLET_QUESTION = `Wallet: empty makes one, else ${WALLET_FORMS}`

/** Adds the options and the action to `tollway init`. */
export function addStarter(init: Command, { terminal }: CommandContext): void {
  init
    .option('--dir <dir>', 'where the files go', '.')
    .option('--wallet <wallet>', `pay from a wallet you have: ${WALLET_FORMS} (default: makes one)`)
    .option('--password-file <file>', 'with --wallet keystore:<file>: the file with its password')
    .option('--find <words>', 'look for a model in the catalogues read so far, and take the best match')
    .option('--index <file>', 'with --find: the index of catalogues (see tollway catalog)')
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
      const asks = options !== given
      const { facts, warning } = await factsOf(options, terminal, asks)
      const own = await walletOf(options, facts.network, terminal)
      const started = start({ ...facts, own, directory: options.dir, force: options.force })
      if (options.json)
        printJson(terminal, { ...asJson(started), network: facts.network, warning: warning ?? null })
      else terminal.stdout(await render(started, facts, warning, terminal))
    })
}

async function factsOf(
  options: StarterOptions,
  terminal: Terminal,
  asks: boolean,
): Promise<{ readonly facts: StarterFacts; readonly warning: string | undefined }> {
  const { dailyUsd, ceilingUsd, find } = options
  if (find !== undefined && options.seller !== undefined && options.seller !== '')
    throw new ConfigError('--find looks for a seller, and --seller names one. Give one of them.')
  const limits = { dailyUsd: dailyUsd ?? DEFAULTS.dailyUsd, ceilingUsd: ceilingUsd ?? DEFAULTS.ceilingUsd }
  const listed = find === undefined ? undefined : await chooseSeller(find, options, terminal, asks)
  const wanted = options.network ?? listed?.model.pin?.network
  const seller = listed?.model.apiBase ?? options.seller
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
    facts: {
      ...limits,
      network: wanted ?? offered ?? DEFAULTS.network,
      models: listed ? [listed.model] : found.models,
    },
    warning: elsewhere ?? found.warning,
  }
}

/** The wallet that a person brings; `undefined` for the directory's own. */
async function walletOf(
  { wallet, passwordFile, dir }: StarterOptions,
  name: string,
  { env }: Terminal,
): Promise<OwnWallet | undefined> {
  if (wallet === undefined || wallet === '') {
    if (passwordFile !== undefined)
      throw new ConfigError('--password-file is for --wallet keystore:<file>; nothing was written.')
    return undefined
  }
  const { ownWallet } = await import('../../init/own-wallet.ts')
  return await ownWallet({ form: wallet, passwordFile, directory: dir, network: name, env })
}

/** Asks for the missing options on an interactive terminal. */
async function askMissing(given: StarterOptions, terminal: Terminal): Promise<StarterOptions> {
  if (!terminal.ask) return given
  // A wallet that is here already is never replaced.
  const hasWallet = existsSync(join(given.dir, 'wallet.json'))
  const wallet = hasWallet ? given.wallet : await answer(terminal, given.wallet, WALLET_QUESTION, '')
  const passwordFile =
    wallet?.startsWith('keystore:') === true
      ? await answer(
          terminal,
          given.passwordFile,
          `File with its password (empty: TOLLWAY_WALLET_PASSWORD)`,
          '',
        )
      : given.passwordFile
  const sought =
    given.find === undefined
      ? await answer(
          terminal,
          given.seller,
          "A seller's address, or a model to look for (empty: add one later)",
          '',
        )
      : given.find
  const place = given.find === undefined && isAddress(sought) ? { seller: sought } : {}
  const words = sought === '' || 'seller' in place ? {} : { find: sought }
  const dailyUsd = usd(await answer(terminal, given.dailyUsd, 'Budget per day, USD', DEFAULTS.dailyUsd))
  const ceilingUsd = usd(
    await answer(terminal, given.ceilingUsd, 'Most for one request, USD', DEFAULTS.ceilingUsd),
  )
  return {
    ...given,
    ...(wallet === undefined ? {} : { wallet }),
    ...(passwordFile === undefined ? {} : { passwordFile }),
    ...place,
    ...words,
    dailyUsd,
    ceilingUsd,
  }
}

function asJson({ config, address, isNewWallet, files, backup }: Started): Readonly<Record<string, unknown>> {
  return { config, address, new_wallet: isNewWallet, files, backup: backup ?? null }
}

async function render(
  { address, isNewWallet, isDirectoryWallet, files, backup }: Started,
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
    ...(isDirectoryWallet
      ? ['Keep wallet.json and wallet.password: whoever has both has the money, and without them it is lost.']
      : []),
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
