/** `tollway init --sandbox`: a configuration that pays the sandbox's sellers with play money, and the sandbox's own parts. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ConfigError } from '../../core/errors.ts'
import { replaceFile } from '../../io/files/replace-file.ts'
import { localAccounts } from '../sandbox/chain/accounts.ts'
import { findAnvil } from '../sandbox/chain/find-anvil.ts'
import { PLAY_KEY_FILE, PLAY_PORTS, playConfig } from '../sandbox/play-config.ts'
import { SandboxPackagesMissingError } from '../sandbox/shared/missing-packages.ts'
import { hasOfficialPackages, installCommand, sandboxPackages } from '../sandbox/shared/optional-packages.ts'
import { CLIENT_ENV, copyOf, refuseExisting } from './starter-files.ts'

/** What was written. */
export interface PlayStarted {
  readonly config: string
  /** The address that pays. */
  readonly address: string
  readonly files: readonly string[]
  /** The old configuration, if there was one. */
  readonly backup: string | undefined
}

/**
 * Writes `tollway.yaml`, the play money's key and `.env`.
 * @throws ConfigError if there is a configuration already, unless `force` is set
 */
export function startPlay(directory: string, force: boolean): PlayStarted {
  const at = (name: string): string => join(resolve(directory), name)
  const config = at('tollway.yaml')
  refuseExisting(config, force)
  const backup = copyOf(config)
  const { buyer } = localAccounts()
  replaceFile(at(PLAY_KEY_FILE), `${buyer.privateKey}\n`, 0o600)
  replaceFile(config, playConfig(PLAY_PORTS, '127.0.0.1:8402'), 0o600)
  const env = at('.env')
  const isNewEnv = !existsSync(env)
  if (isNewEnv) replaceFile(env, CLIENT_ENV, 0o600)
  return {
    config,
    address: buyer.address,
    files: [config, at(PLAY_KEY_FILE), ...(isNewEnv ? [env] : [])],
    backup,
  }
}

/** Whether the sandbox would find its chain and the official packages from a directory. */
export function hasSandboxParts(directory: string): boolean {
  try {
    findAnvil({ cwd: resolve(directory) })
    return hasOfficialPackages(resolve(directory))
  } catch (error) {
    if (error instanceof SandboxPackagesMissingError) return false
    throw error
  }
}

/**
 * Installs the sandbox's parts into a directory with npm.
 * @param run runs npm; replaced in tests
 * @throws ConfigError with the command when npm fails
 */
export async function installSandboxParts(
  directory: string,
  run: (args: readonly string[], directory: string) => Promise<number> = npm,
): Promise<void> {
  const args = ['install', '--save-dev', '--no-audit', '--no-fund', '--loglevel=error', ...sandboxPackages()]
  if ((await run(args, resolve(directory))) === 0) return
  throw new ConfigError(
    `npm could not install the sandbox's parts; the configuration is written. Run it yourself to see why:\n  ${installCommand()}`,
  )
}

/** What npm prints goes to standard error: standard output is ours. */
async function npm(args: readonly string[], cwd: string): Promise<number> {
  const child = spawn('npm', [...args], {
    cwd,
    stdio: ['ignore', process.stderr, process.stderr],
    shell: process.platform === 'win32',
  })
  return await new Promise<number>((done) => {
    child.once('error', () => done(127))
    child.once('close', (code) => done(code ?? 1))
  })
}
