/** The agentcash program on this machine: which file is run, with what environment, and what its failures mean. */
import { realpathSync, statSync } from 'node:fs'
import { basename, isAbsolute } from 'node:path'
import { z } from 'zod'
import { ConfigError } from '../../core/errors.ts'

/** How agentcash is started. */
export interface AgentcashProgram {
  readonly command: string
  /** Comes before every other argument. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** What it is asked to pay. */
export interface AgentcashCall {
  /** The shim's. */
  readonly url: string
  /** Its own name of the network, e.g. `base`. */
  readonly network: string
  /** Decimal USD: the vetted amount, so that it would refuse more by itself. */
  readonly maxUsd: string
  /** Longest it waits for our answer, milliseconds. */
  readonly timeoutMs: number
}

/** Runs agentcash. */
export interface Agentcash {
  /**
   * Has it make one paid call.
   * @returns its word for what kept it, e.g. `insufficient_balance`, or `undefined` when it is content
   * @throws when it cannot be run
   */
  fetch(call: AgentcashCall, signal: AbortSignal): Promise<string | undefined>
  close(): Promise<void>
}

const FETCHERS: ReadonlySet<string> = new Set(['npx', 'npm', 'pnpm', 'pnpx', 'yarn', 'bunx', 'dlx'])

/** What the child gets of our environment: nothing that could be a secret of ours. */
const PASSED_ON = ['PATH', 'LANG', 'TMPDIR', 'SYSTEMROOT']

/**
 * Looks at the configured path, once: what is run later is the file that was there at the start.
 * @param path absolute
 * @param home directory that holds `.agentcash`
 * @param args further arguments for every start, e.g. `--dev`
 * @throws ConfigError for a path that is no file, or a program that fetches packages
 */
export function findAgentcash(
  path: string,
  home: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): AgentcashProgram {
  if (FETCHERS.has(basename(path).replace(/\.(?:cmd|exe|js)$/, ''))) {
    throw new ConfigError(
      `binary is ${basename(path)}, which runs whatever version a registry has now, with a wallet in reach. Install agentcash and name its own file.`,
    )
  }
  const file =
    isAbsolute(path) && statSync(path, { throwIfNoEntry: false })?.isFile() ? realpathSync(path) : ''
  if (file === '') {
    throw new ConfigError(
      `binary ${path} is not a file. Install agentcash at a version of your choice and name it, e.g. ./node_modules/.bin/agentcash.`,
    )
  }
  const isScript = /\.[cm]?[jt]s$/.test(file)
  const passed = PASSED_ON.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]))
  return {
    command: isScript ? process.execPath : file,
    args: [...(isScript ? [file] : []), ...args],
    env: { ...Object.fromEntries(passed), HOME: home, USERPROFILE: home },
  }
}

const FAILURE = z.object({ cause: z.string().optional(), message: z.string().optional() })

/** Its word for a failure: lower-case letters and underscores, or `unknown`. */
export function causeOf(failure: unknown): string {
  const cause = FAILURE.safeParse(failure).data?.cause
  return cause !== undefined && /^[a-z0-9_]{1,60}$/.test(cause) ? cause : 'unknown'
}
