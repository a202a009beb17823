import { accessSync, constants, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join, resolve } from 'node:path'
import { SandboxPackagesMissingError } from '../shared/missing-packages.ts'
import { anvilPackage, installAdvice } from '../shared/optional-packages.ts'
import type { Machine } from '../shared/optional-packages.ts'

/** Where to look for anvil. The defaults come from this process. */
export interface FindAnvilOptions {
  /** A path named by the user as an option; takes precedence over everything else. */
  anvilPath?: string | undefined
  /** Environment to read `TOLLWAY_ANVIL` and `PATH` from. */
  env?: Readonly<Record<string, string | undefined>> | undefined
  /** Directory whose `node_modules` are searched before our own. */
  cwd?: string | undefined
  machine?: Machine | undefined
  /** Modules from which the npm package is resolved after `cwd`. Defaults to this one. */
  ownModule?: string | undefined
}

/**
 * Finds anvil, Foundry's local Ethereum node: the path the user named (option, then `TOLLWAY_ANVIL`), the npm
 * package of this platform as seen from the working directory and from Tollway itself, then the `PATH`.
 *
 * @returns Absolute path of an executable file.
 * @throws {SandboxPackagesMissingError} When there is none, or the named path is not an executable file: a path the
 * user named is never silently replaced by another anvil.
 */
export function findAnvil(options: FindAnvilOptions = {}): string {
  const env = options.env ?? process.env
  const cwd = options.cwd ?? process.cwd()
  const machine = options.machine ?? process

  const named = options.anvilPath ?? nonEmpty(env['TOLLWAY_ANVIL'])
  if (named !== undefined) {
    const path = resolve(cwd, named)
    if (isExecutableFile(path)) return path
    const from = options.anvilPath === undefined ? 'TOLLWAY_ANVIL' : 'the anvil path option'
    throw new SandboxPackagesMissingError(
      `${from} says ${named}, which is not an executable file. Point it at the anvil binary, or leave it out. ${installAdvice(machine)}`,
    )
  }

  const binary = machine.platform === 'win32' ? 'anvil.exe' : 'anvil'
  const found =
    fromPackage(anvilPackage(machine), binary, [
      join(cwd, 'package.json'),
      options.ownModule ?? import.meta.url,
    ]) ?? fromPath(env['PATH'], binary)
  if (found !== undefined) return found
  throw new SandboxPackagesMissingError(
    `The sandbox needs anvil, Foundry's local Ethereum node, and found none: not in node_modules, not on the PATH. ${installAdvice(machine)}`,
  )
}

function fromPackage(
  name: string | undefined,
  binary: string,
  viewpoints: readonly string[],
): string | undefined {
  if (name === undefined) return undefined
  for (const viewpoint of viewpoints) {
    try {
      const path = createRequire(viewpoint).resolve(`${name}/bin/${binary}`)
      if (isExecutableFile(path)) return path
    } catch {
      // Not found from this location; the next one may find it.
    }
  }
  return undefined
}

function fromPath(path: string | undefined, binary: string): string | undefined {
  return (path ?? '')
    .split(delimiter)
    .filter((dir) => dir !== '')
    .map((dir) => resolve(dir, binary))
    .find(isExecutableFile)
}

function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
