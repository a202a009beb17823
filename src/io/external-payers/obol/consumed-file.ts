/**
 * x402-buyer's state file: the consume keys of used authorizations by upstream, in its own shape, so that it can take over
 * again. The ledger is what we go by; the file is written after it. One writer at a time, whole and durable: written to a temporary file,
 * synced, renamed.
 */
import { constants, mkdirSync, readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { ConfigError } from '../../../core/errors.ts'
import { takeLock, type FileLock } from '../../files/file-lock.ts'

const SCHEMA = z.object({
  consumed: z
    .record(
      z.string(),
      z
        .array(z.string())
        .nullable()
        .transform((keys) => keys ?? []),
    )
    .nullish(),
})

/** x402-buyer's `consumed.json`. */
export class ConsumedFile {
  readonly #path: string
  readonly #lock: FileLock
  readonly #onFailure: (error: unknown) => void
  readonly #keys: Map<string, Set<string>>
  #dirty = false
  #writing: Promise<void> | undefined

  private constructor(
    path: string,
    lock: FileLock,
    keys: Map<string, Set<string>>,
    onFailure: (error: unknown) => void,
  ) {
    this.#path = path
    this.#lock = lock
    this.#keys = keys
    this.#onFailure = onFailure
  }

  /**
   * Opens the file, which need not exist.
   * @param instance what this process calls itself
   * @param onFailure called when the file could not be written; the next key tries again
   * @throws ConfigError when another process writes it, or it is not such a file
   */
  static open(path: string, instance: string, onFailure: (error: unknown) => void): ConsumedFile {
    let lock: ReturnType<typeof takeLock>
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
      lock = takeLock(`${path}.lock`, instance)
    } catch (error) {
      throw new ConfigError(
        `The state file ${path} cannot be locked. Check that its directory can be written.`,
        {
          cause: error,
        },
      )
    }
    if ('heldBy' in lock) {
      const { pid, host } = lock.heldBy
      throw new ConfigError(
        `The state file ${path} is written by another process (${pid} on ${host}). Stop it: two of them would use the same vouchers.`,
      )
    }
    try {
      return new ConsumedFile(path, lock, readConsumed(path), onFailure)
    } catch (error) {
      lock.release()
      throw error
    }
  }

  /** Every upstream and its used keys. */
  get keys(): ReadonlyMap<string, ReadonlySet<string>> {
    return this.#keys
  }

  /** Notes used keys; the file follows in the background. */
  mark(name: string, keys: Iterable<string>): void {
    const known = this.#keys.get(name) ?? new Set<string>()
    const before = known.size
    for (const key of keys) if (key !== '') known.add(key)
    if (known.size === before) return
    this.#keys.set(name, known)
    this.#dirty = true
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  /** Resolves when what was noted is in the file, or could not be written. */
  async flushed(): Promise<void> {
    while (this.#writing) await this.#writing
  }

  /** Writes what is left, once more where it failed before, and lets others write. */
  async close(): Promise<void> {
    await this.flushed()
    if (this.#dirty) await this.#write()
    this.#lock.release()
  }

  async #write(): Promise<void> {
    while (this.#dirty) {
      this.#dirty = false
      try {
        await this.#replace()
      } catch (error) {
        this.#dirty = true
        this.#onFailure(error)
        return
      }
    }
  }

  async #replace(): Promise<void> {
    const consumed = Object.fromEntries(
      [...this.#keys].toSorted(byName).map(([name, keys]) => [name, [...keys].toSorted()]),
    )
    const temporary = `${this.#path}.tmp`
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
    const file = await open(temporary, flags, 0o600)
    try {
      await file.writeFile(`${JSON.stringify({ consumed }, undefined, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, this.#path)
    const directory = await open(dirname(this.#path), 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }
}

/**
 * What the file says, which need not exist.
 * @throws ConfigError when it is not such a file
 */
export function readConsumed(path: string): Map<string, Set<string>> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return new Map()
    throw new ConfigError(`The state file ${path} cannot be read. Check its permissions.`, { cause: error })
  }
  const parsed = SCHEMA.safeParse(parseJson(text))
  if (!parsed.success) {
    throw new ConfigError(
      `The state file ${path} is not x402-buyer's ({"consumed": {"<name>": ["<key>"]}}). Restore it: without it used vouchers would be sent again.`,
    )
  }
  const entries = Object.entries(parsed.data.consumed ?? {})
  return new Map(entries.map(([name, keys]) => [name, new Set(keys)]))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  if (a[0] === b[0]) return 0
  return a[0] < b[0] ? -1 : 1
}
