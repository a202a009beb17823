/** `tollway init`: makes a wallet and a first configuration. Never overwrites a wallet. */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ConfigError } from '../../core/errors.ts'
import { replaceFile } from '../../io/files/replace-file.ts'
import { keystoreAddress, newKeystore, type NewKeystore } from '../../io/signer/new-keystore.ts'
import { CLIENT_ENV, copyOf, refuseExisting } from './starter-files.ts'
import type { OwnWallet } from './own-wallet.ts'
import { starterConfig, type StarterFacts } from './starter-config.ts'

/** What to write. */
export interface StarterRequest extends Omit<StarterFacts, 'wallet'> {
  readonly directory: string
  /** Replace an existing configuration, after copying it to the same directory. A wallet is always kept. */
  readonly force: boolean
  /** A wallet that exists elsewhere; `undefined` for the one of the directory, made if there is none. */
  readonly own?: OwnWallet | undefined
}

/** What was written. */
export interface Started {
  readonly config: string
  /** The paying address. */
  readonly address: string
  /** Whether the wallet was made now. */
  readonly isNewWallet: boolean
  /** Whether the wallet is the directory's own: two files to keep. */
  readonly isDirectoryWallet: boolean
  /** Files that were written. */
  readonly files: readonly string[]
  /** The old configuration, if there was one. */
  readonly backup: string | undefined
}

/**
 * @param make makes the wallet; replaced in tests, where a strong password hash only costs time
 * @throws ConfigError if there is a configuration already, or half a wallet
 */
export function start(
  { directory, force, own, ...facts }: StarterRequest,
  make: (password: string) => NewKeystore = newKeystore,
): Started {
  const at = (name: string): string => join(resolve(directory), name)
  const config = at('tollway.yaml')
  refuseExisting(config, force)
  const wallet = own
    ? { address: own.address, files: [] }
    : openWallet(at('wallet.json'), at('wallet.password'), make)
  const backup = copyOf(config)
  replaceFile(config, starterConfig({ ...facts, wallet: own?.settings }), 0o600)
  const env = at('.env')
  const isNewEnv = !existsSync(env)
  if (isNewEnv) replaceFile(env, CLIENT_ENV, 0o600)
  return {
    config,
    address: wallet.address,
    isNewWallet: wallet.files.length > 0,
    isDirectoryWallet: own === undefined,
    files: [config, ...wallet.files, ...(isNewEnv ? [env] : [])],
    backup,
  }
}

/** The wallet of the directory, made if there is none. The password is written first: a wallet without one is lost money. */
function openWallet(
  file: string,
  password: string,
  make: (password: string) => NewKeystore,
): { readonly address: string; readonly files: readonly string[] } {
  const [hasFile, hasPassword] = [existsSync(file), existsSync(password)]
  if (hasFile !== hasPassword)
    throw new ConfigError(
      `${hasFile ? password : file} is missing, but ${hasFile ? file : password} is there. Put it back, or move the other away; nothing was changed.`,
    )
  if (hasFile) {
    const address = keystoreAddress(readFileSync(file, 'utf8'))
    if (address !== undefined) return { address, files: [] }
    throw new ConfigError(
      `${file} is not a keystore that tells its address. Move it away; nothing was changed.`,
    )
  }
  const secret = randomBytes(24).toString('base64url')
  const made = make(secret)
  replaceFile(password, `${secret}\n`, 0o600)
  replaceFile(file, made.text, 0o600)
  return { address: made.address, files: [file, password] }
}
