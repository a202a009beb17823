/** The two logger methods that Tollway uses: fields first, message second, as in pino. */
export interface Log {
  error(fields: Readonly<Record<string, unknown>>, message: string): void
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
}

/** A log that keeps nothing: the default of every middleware. */
export const silentLog: Log = { error: () => undefined, warn: () => undefined }
