/** The command line's way of loading `node:sqlite`: without the warning that Node 22 prints with every command. */

/** The part of `process` that is changed. */
type Warner = Pick<NodeJS.Process, 'emitWarning'>

const SQLITE = /^SQLite is an experimental feature\b/

/**
 * Drops the one warning that Node 22 calls its SQLite experimental: Tollway is tested on it, and nobody who reads the line can act
 * on it. Every other warning is passed on. Call it before `node:sqlite` is first imported.
 */
export function quietSqlite(warner: Warner): void {
  const emit = warner.emitWarning.bind(warner)
  warner.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    const text = typeof warning === 'string' ? warning : warning.message
    if (!SQLITE.test(text)) Reflect.apply(emit, undefined, [warning, ...rest])
  }
}
