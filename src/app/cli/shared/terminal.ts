import type { Environment } from '../../config/values/secrets.ts'

/** What a command may touch of the process it runs in. */
export interface Terminal {
  readonly env: Environment
  stdout(text: string): void
  stderr(text: string): void
  /** Bytes for whoever reads the output; resolves when more may be written. Rejects when nobody reads any more. */
  stdoutBytes(chunk: Uint8Array): Promise<void>
  /** Where a progress bar may be drawn: a terminal that a person looks at. */
  readonly progress?: NodeJS.WriteStream | undefined
  /** Calls back on each SIGINT and SIGTERM until the returned function is called. */
  onStopSignal(listener: () => void): () => void
  /** Ends the process. */
  exit(code: number): void
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** This process. */
export function processTerminal(): Terminal {
  // A reader such as `head` may leave early; what it does not want to read is no fault.
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
    progress: process.stderr.isTTY ? process.stderr : undefined,
    onStopSignal(listener) {
      for (const signal of STOP_SIGNALS) process.on(signal, listener)
      return () => {
        for (const signal of STOP_SIGNALS) process.off(signal, listener)
      }
    },
    // The empty write calls back when everything before it has been taken.
    exit: (code) => void process.stdout.write('', () => process.exit(code)),
  }
}
