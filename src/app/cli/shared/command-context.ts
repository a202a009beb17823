import type { Terminal } from './terminal.ts'

/** What a command works with. */
export interface CommandContext {
  readonly terminal: Terminal
  /** Sets the exit code; default 0. */
  end(code: number): void
}
