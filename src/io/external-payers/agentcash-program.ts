/** The agentcash program on this machine: the file to run, its environment, and the meaning of its failures. */
import { realpathSync, statSync } from 'node:fs'
import { basename, isAbsolute } from 'node:path'
import { z } from 'zod'
import { ConfigError } from '../../core/errors.ts'

/** How agentcash is started. */
export interface AgentcashProgram {
  /** The program itself, also where another runs it. */
  readonly file: string
  readonly command: string
  /** Comes before every other argument. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** A call that agentcash is asked to pay. */
export interface AgentcashCall {
  /** The URL of the shim's call. */
  readonly url: string
  /** AgentCash's name for the network, e.g. `base`. */
  readonly network: string
  /** Decimal USD: the vetted amount, so that agentcash itself refuses to pay more. */
  readonly maxUsd: string
  /** How long it waits for our response, milliseconds. */
  readonly timeoutMs: number
}

/** Runs agentcash. */
export interface Agentcash {
  /**
   * Has it make one paid call.
   * @returns its code for why it did not pay, e.g. `insufficient_balance`; `undefined` when it succeeded
   * @throws when it cannot be run
   */
  fetch(call: AgentcashCall, signal: AbortSignal): Promise<string | undefined>
  close(): Promise<void>
}

const FETCHERS: ReadonlySet<string> = new Set(['npx', 'npm', 'pnpm', 'pnpx', 'yarn', 'bunx', 'dlx'])

/** The variables passed on to the child: nothing that could be one of our secrets. */
const PASSED_ON = ['PATH', 'LANG', 'TMPDIR', 'SYSTEMROOT']

/**
 * Resolves the configured path once, so that the file found at the start is the one that is run later.
 * @param path absolute
 * @param home directory that holds `.agentcash`
 * @param args further arguments for every start, e.g. `--dev`
 * @throws ConfigError for a path that is not a file, or a program that fetches packages
 */
export function findAgentcash(
  path: string,
  home: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): AgentcashProgram {
  if (FETCHERS.has(basename(path).replace(/\.(?:cmd|exe|js)$/, ''))) {
    throw new ConfigError(
      `binary is ${basename(path)}, which runs whatever version the registry has now, with access to a wallet. Install agentcash and set binary to its own file.`,
    )
  }
  const file =
    isAbsolute(path) && statSync(path, { throwIfNoEntry: false })?.isFile() ? realpathSync(path) : ''
  if (file === '') {
    throw new ConfigError(
      `binary ${path} is not a file. Install a version of agentcash and set binary to its absolute path, e.g. /opt/app/node_modules/.bin/agentcash.`,
    )
  }
  const isScript = /\.[cm]?[jt]s$/.test(file)
  const passed = PASSED_ON.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]))
  return {
    file,
    command: isScript ? process.execPath : file,
    args: [...(isScript ? [file] : []), ...args],
    env: { ...Object.fromEntries(passed), HOME: home, USERPROFILE: home },
  }
}

const FAILURE = z.object({ cause: z.string().optional(), message: z.string().optional() })

/** Its code for a failure: lower-case letters, digits and underscores, or `unknown`. */
export function causeOf(failure: unknown): string {
  const cause = FAILURE.safeParse(failure).data?.cause
  return cause !== undefined && /^[a-z0-9_]{1,60}$/.test(cause) ? cause : 'unknown'
}
