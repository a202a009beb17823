import type { Log } from '../../src/core/log.ts'

/** Writes one line to standard error: for errors that must be reported where no log was given. */
export const stderrLog: Log = {
  error: (fields, message) => write(fields, message),
  warn: (fields, message) => write(fields, message),
}

function write({ err, requestId }: Readonly<Record<string, unknown>>, message: string): void {
  const cause = err instanceof Error ? `${err.name}: ${err.message}` : String(err)
  const request = typeof requestId === 'string' ? ` (request ${requestId})` : ''
  const line = `tollway: ${message}: ${cause}${request}`
  process.stderr.write(`${line.replace(/\s+/g, ' ')}\n`)
}
