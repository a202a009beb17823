/** A wallet that a person brings to `tollway init`: the entry of `payers` that it becomes, and proof that it opens. */
import { isAbsolute, join, relative, resolve } from 'node:path'
import { ConfigError } from '../../core/errors.ts'
import { parseConfig } from '../config/load.ts'
import type { Environment } from '../config/values/secrets.ts'
import { openPayers } from '../wiring/open-payers.ts'
import { WALLET_FORMS } from './wallet-forms.ts'

/** Which wallet, as a person writes it. */
export interface WalletRequest {
  /** `keystore:<file>`, `file:<file>`, `env:<variable>`, `agentcash`, or the address of a remote signer. */
  readonly form: string
  /** File with the password of a keystore. */
  readonly passwordFile: string | undefined
  /** Where the configuration goes. */
  readonly directory: string
  /** Alias of the network to pay on. */
  readonly network: string
  readonly env: Environment
}

/** A wallet that opened. */
export interface OwnWallet {
  /** Its entry under `payers`, without networks; paths are as the configuration in the directory reads them. */
  readonly settings: object
  readonly address: string
}

/** The variable with a keystore's password, where no file is given. */
const PASSWORD = 'TOLLWAY_WALLET_PASSWORD'

/**
 * Opens the wallet as the gateway will, and closes it. Changes nothing.
 * @throws ConfigError for a form that is none, or a key that is missing, unreadable or wrong
 * @throws TollwayError `signer_unavailable`
 */
export async function ownWallet(request: WalletRequest): Promise<OwnWallet> {
  const { network, env, directory } = request
  const payer = { kind: 'direct', ...settingsOf(request, (path) => resolve(path)), networks: [network] }
  const opened: { close(): Promise<void> }[] = []
  try {
    const payers = await openPayers(parseConfig({ payers: { wallet: payer } }, env), { opened })
    const address = payers.get('wallet')?.address
    if (address === undefined) throw new ConfigError('The wallet has no address; nothing was written.')
    return { settings: settingsOf(request, (path) => fromDirectory(path, directory)), address }
  } finally {
    await Promise.all(opened.map((one) => one.close()))
  }
}

function settingsOf(
  { form, passwordFile, env }: WalletRequest,
  place: (path: string) => string,
): Readonly<Record<string, unknown>> {
  const [, kind = '', rest = ''] = /^([a-z]+):(.+)$/s.exec(form) ?? []
  if (form === 'agentcash') return { agentcash_wallet: 'default' }
  if (kind === 'http' || kind === 'https') {
    const hasToken = (env['REMOTE_SIGNER_TOKEN'] ?? '') !== ''
    return { signer: { url: form, ...(hasToken ? { token: '${env:REMOTE_SIGNER_TOKEN}' } : {}) } }
  }
  if (kind === 'agentcash') return { agentcash_wallet: place(rest) }
  if (kind === 'file') return { key: `\${file:${place(rest)}}` }
  if (kind === 'env' && /^[A-Za-z_]\w*$/.test(rest)) return { key: `\${env:${rest}}` }
  if (kind === 'keystore')
    return { keystore: { path: place(rest), password: passwordOf(passwordFile, env, place) } }
  if (/^(?:0x)?[0-9a-f]{64}$/i.test(form))
    throw new ConfigError(
      'That is a private key, and other programs see what is on a command line. Put it into a file with mode 0600 and give file:<file>; nothing was written.',
    )
  throw new ConfigError(`"${form}" names no wallet. Write ${WALLET_FORMS}; nothing was written.`)
}

function passwordOf(file: string | undefined, env: Environment, place: (path: string) => string): string {
  if (file !== undefined && file !== '') return `\${file:${place(file)}}`
  if ((env[PASSWORD] ?? '') !== '') return `\${env:${PASSWORD}}`
  throw new ConfigError(
    `A keystore needs its password: --password-file <file> (mode 0600), or the variable ${PASSWORD}; nothing was written.`,
  )
}

/** A path as a file in the directory names it: relative where it lies inside, else absolute. */
function fromDirectory(path: string, directory: string): string {
  const inside = relative(resolve(directory), resolve(path))
  return inside.startsWith('..') || isAbsolute(inside) ? resolve(path) : `./${join(inside)}`
}
