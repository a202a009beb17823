/** The two methods that Tollway needs of a logger: fields first, message second, as in pino. */
export interface Log {
  error(fields: Readonly<Record<string, unknown>>, message: string): void
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
}

/** A log that keeps nothing: the default of every middleware. */
export const silentLog: Log = { error: () => undefined, warn: () => undefined }
