import { execFile } from 'node:child_process'
import { MAIN } from '../kit/program.ts'

/** Where compiled sources are kept, when the tests were told. */
const { NODE_COMPILE_CACHE: cache } = process.env
const compiled = cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }

/** How a run ended. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line in a process of its own, with an environment of its own. */
export function tollway(
  args: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly cwd?: string
    readonly node?: readonly string[]
  } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...(options.node ?? []), MAIN, ...args],
      // NO_COLOR and a width of its own: the output must not depend on who runs the tests.
      { env: { NO_COLOR: '1', ...compiled, ...options.env }, cwd: options.cwd },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ code, stdout, stderr })
      },
    )
  })
}
