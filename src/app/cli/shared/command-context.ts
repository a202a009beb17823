import type { Terminal } from './terminal.ts'

/** What a command works with. */
export interface CommandContext {
  readonly terminal: Terminal
  /** Says how the command ended; without it the exit code is 0. */
  end(code: number): void
}
