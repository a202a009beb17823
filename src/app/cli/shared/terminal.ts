import { visible } from '../../../core/visible.ts'
import type { Environment } from '../../config/values/secrets.ts'

/** What a command may use of the process. */
export interface Terminal {
  readonly env: Environment
  stdout(text: string): void
  stderr(text: string): void
  /** Writes bytes to standard output; resolves when more may be written, rejects when the reader is gone. */
  stdoutBytes(chunk: Uint8Array): Promise<void>
  /** Whether a person reads standard output. */
  readonly isInteractive?: boolean | undefined
  /** Asks a person one question and returns the line they type; absent without an interactive terminal. */
  readonly ask?: ((question: string) => Promise<string>) | undefined
  /** An interactive terminal for a progress bar. */
  readonly progress?: NodeJS.WriteStream | undefined
  /** Calls back on each SIGINT and SIGTERM until the returned function is called. */
  onStopSignal(listener: () => void): () => void
  /** Calls back on each SIGHUP until the returned function is called; absent where there is no such signal. */
  readonly onReloadSignal?: ((listener: () => void) => () => void) | undefined
  /** Ends the process. */
  exit(code: number): void
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** This process. */
export function processTerminal(): Terminal {
  // A reader such as `head` may close the pipe early; that is not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  return {
    env: process.env,
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    stdoutBytes: (chunk) =>
      new Promise((resolve, reject) => {
        process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()))
      }),
    isInteractive: process.stdout.isTTY,
    ask: process.stdin.isTTY && process.stdout.isTTY ? askLine : undefined,
    progress: process.stderr.isTTY ? process.stderr : undefined,
    onStopSignal(listener) {
      for (const signal of STOP_SIGNALS) process.on(signal, listener)
      return () => {
        for (const signal of STOP_SIGNALS) process.off(signal, listener)
      }
    },
    onReloadSignal(listener) {
      process.on('SIGHUP', listener)
      return () => void process.off('SIGHUP', listener)
    },
    // The empty write calls back when everything before it has been flushed.
    exit: (code) => void process.stdout.write('', () => process.exit(code)),
  }
}

async function askLine(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return await lines.question(question)
  } finally {
    lines.close()
  }
}

const nothing = (): void => undefined

/** The same terminal, for text from anywhere: nothing that moves a cursor or hides is written. Bytes for another program stay. */
export function visibleTerminal(terminal: Terminal): Terminal {
  const decoder = new TextDecoder()
  const { ask } = terminal
  return {
    env: terminal.env,
    stdout: (text) => terminal.stdout(visible(text)),
    stderr: (text) => terminal.stderr(visible(text)),
    stdoutBytes: (chunk) =>
      terminal.stdoutBytes(
        terminal.isInteractive === true
          ? Buffer.from(visible(decoder.decode(chunk, { stream: true })))
          : chunk,
      ),
    isInteractive: terminal.isInteractive,
    ask: ask && ((question) => ask.call(terminal, visible(question))),
    progress: terminal.progress,
    onStopSignal: (listener) => terminal.onStopSignal(listener),
    onReloadSignal: terminal.onReloadSignal && ((listener) => terminal.onReloadSignal?.(listener) ?? nothing),
    exit: (code) => terminal.exit(code),
  }
}
