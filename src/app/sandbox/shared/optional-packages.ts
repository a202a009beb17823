import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { SandboxPackagesMissingError } from './missing-packages.ts'

/** Version of the official x402 packages the sandbox is built and tested against. */
const x402Version = '2.27.0'
/** Version of Foundry's anvil the sandbox is built and tested against. */
const anvilVersion = '1.7.1'
const foundryGuide = 'https://getfoundry.sh'

// Foundry's names for Node's process.platform and process.arch.
const anvilSystems: Record<string, string> = { linux: 'linux', darwin: 'darwin', win32: 'win32' }
const anvilMachines: Record<string, string> = { x64: 'amd64', arm64: 'arm64' }

/** A machine's platform and architecture as Node reports them (`process.platform`, `process.arch`). */
export interface Machine {
  platform: string
  arch: string
}

/**
 * The npm package that carries anvil for one kind of machine.
 *
 * @returns e.g. `@foundry-rs/anvil-linux-amd64`, or `undefined` where Foundry publishes none.
 */
export function anvilPackage(machine: Machine): string | undefined {
  const system = anvilSystems[machine.platform]
  const cpu = anvilMachines[machine.arch]
  if (system === undefined || cpu === undefined) return undefined
  return `@foundry-rs/anvil-${system}-${cpu}`
}

/**
 * The one command that installs every optional part of the sandbox on this machine. Every message and page with
 * setup instructions for the sandbox takes the command from here.
 */
export function installCommand(machine: Machine = process): string {
  return `npm install --save-dev ${sandboxPackages(machine).join(' ')}`
}

/** The packages that {@link installCommand} installs. */
export function sandboxPackages(machine: Machine = process): string[] {
  const anvil = anvilPackage(machine)
  const packages = ['@x402/core', '@x402/evm', '@x402/express'].map((name) => `${name}@${x402Version}`)
  return anvil === undefined ? packages : [`${anvil}@${anvilVersion}`, ...packages]
}

/** Whether a directory, or else our own installation, has all of the official packages. */
export function hasOfficialPackages(directory: string): boolean {
  return [join(directory, 'package.json'), import.meta.url].some((from) => {
    const { resolve } = createRequire(from)
    try {
      return Object.values(specifiers).every((specifier) => resolve(specifier) !== '')
    } catch {
      return false
    }
  })
}

/** How to install what is missing, as the last sentences of an error message. */
export function installAdvice(machine: Machine = process): string {
  const foundry = `installing Foundry (${foundryGuide}), which puts anvil on the PATH, works too`
  const alternative =
    anvilPackage(machine) === undefined
      ? `There is no npm package of anvil for ${machine.platform}-${machine.arch}; ${foundry}.`
      : `For anvil alone, ${foundry}.`
  return `Install the sandbox's parts with:\n  ${installCommand(machine)}\n${alternative}`
}

/** The official x402 packages, loaded. */
export interface OptionalPackages {
  core: typeof import('@x402/core/facilitator')
  server: typeof import('@x402/core/server')
  evm: typeof import('@x402/evm')
  exactFacilitator: typeof import('@x402/evm/exact/facilitator')
  exactFacilitatorV1: typeof import('@x402/evm/exact/v1/facilitator')
  exactServer: typeof import('@x402/evm/exact/server')
  uptoFacilitator: typeof import('@x402/evm/upto/facilitator')
  uptoServer: typeof import('@x402/evm/upto/server')
  express: typeof import('@x402/express')
}

const specifiers: Record<keyof OptionalPackages, string> = {
  core: '@x402/core/facilitator',
  server: '@x402/core/server',
  evm: '@x402/evm',
  exactFacilitator: '@x402/evm/exact/facilitator',
  exactFacilitatorV1: '@x402/evm/exact/v1/facilitator',
  exactServer: '@x402/evm/exact/server',
  uptoFacilitator: '@x402/evm/upto/facilitator',
  uptoServer: '@x402/evm/upto/server',
  express: '@x402/express',
}

const LoadedPackages = z.custom<OptionalPackages>(
  (value) => value instanceof Object && Object.keys(specifiers).every((part) => part in value),
)

/** Loads all packages from one place; rejects with a module-not-found error if one is missing. */
type PackagesLoader = () => Promise<OptionalPackages>

/**
 * Loads the official x402 packages, which are optional peers: a gateway that only pays never needs them.
 *
 * All of them are loaded from one place: Tollway's own installation, or else the working directory (Tollway may be
 * installed globally or run by npx while the project has its own packages). Mixing two copies would mix their
 * classes.
 *
 * @param places - Where to look, in order. For tests.
 * @throws {SandboxPackagesMissingError} With the install command if no place has all of them.
 */
export async function loadOptionalPackages(
  places: readonly PackagesLoader[] = [besideUs, () => packagesFrom(process.cwd())],
): Promise<OptionalPackages> {
  const misses: Error[] = []
  for (const load of places) {
    try {
      return await load()
    } catch (error) {
      // A broken part is a different error from a missing one.
      if (!isNotInstalled(error)) throw error
      misses.push(error)
    }
  }
  const reason = misses[0]?.message.split('\n')[0] ?? 'there is nowhere to look'
  throw new SandboxPackagesMissingError(
    `The sandbox runs the official x402 packages, and they are not all installed (${reason}). ${installAdvice()}`,
    { cause: misses[0] },
  )
}

/** Loads the packages from a directory's `node_modules`. */
export async function packagesFrom(dir: string): Promise<OptionalPackages> {
  const { resolve } = createRequire(join(dir, 'package.json'))
  const loaded = await Promise.all(
    Object.entries(specifiers).map(async ([part, specifier]): Promise<[string, unknown]> => {
      return [part, await import(pathToFileURL(resolve(specifier)).href)]
    }),
  )
  return LoadedPackages.parse(Object.fromEntries(loaded))
}

async function besideUs(): Promise<OptionalPackages> {
  const [core, server, evm, exactFacilitator, exactFacilitatorV1, exactServer] = await Promise.all([
    import('@x402/core/facilitator'),
    import('@x402/core/server'),
    import('@x402/evm'),
    import('@x402/evm/exact/facilitator'),
    import('@x402/evm/exact/v1/facilitator'),
    import('@x402/evm/exact/server'),
  ])
  const [uptoFacilitator, uptoServer, express] = await Promise.all([
    import('@x402/evm/upto/facilitator'),
    import('@x402/evm/upto/server'),
    import('@x402/express'),
  ])
  return {
    core,
    server,
    evm,
    exactFacilitator,
    exactFacilitatorV1,
    exactServer,
    uptoFacilitator,
    uptoServer,
    express,
  }
}

function isNotInstalled(error: unknown): error is Error {
  if (!(error instanceof Error) || !('code' in error)) return false
  return error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND'
}
