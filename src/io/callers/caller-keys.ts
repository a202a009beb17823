/** The file of caller keys that `tollway keys` writes and a running gateway reads. It holds digests, never keys. */
import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { parseCallerBudget, type CallerBudget } from '../../core/budget/caller-budgets.ts'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import { replaceFile } from '../files/replace-file.ts'

const limit = z.int().min(1).optional()

const ENTRY = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  /** SHA-256 of the key, lower-case hex. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** The first characters of the key, so that people can distinguish keys. */
  hint: z.string().max(16),
  models: z.array(z.string().min(1).max(256)).min(1),
  /** Milliseconds since the epoch. */
  created: z.int().min(0),
  expires: z.int().min(0).optional(),
  requests_per_minute: limit,
  tokens_per_minute: limit,
  max_parallel_requests: limit,
  team: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/)
    .optional(),
  /** As `5/day`. */
  budget_usd: z.array(z.string().refine((text) => parseCallerBudget(text) !== undefined)).optional(),
})

const FILE = z.strictObject({ version: z.literal(1), keys: z.array(ENTRY) })

/** One key of the file. */
export type CallerKey = z.output<typeof ENTRY>

/** What a key may spend, read. */
export function budgetsOfKey({ budget_usd: written = [] }: Pick<CallerKey, 'budget_usd'>): CallerBudget[] {
  return written.flatMap((text) => parseCallerBudget(text) ?? [])
}

/** How long the file is not checked again, milliseconds: a revoked key works for no longer than this. */
const FRESH_MS = 500

/**
 * Reads the file; a missing file is empty.
 * @throws ConfigError for a file that cannot be read or has another format
 */
export function readCallerKeys(path: string): CallerKey[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw new ConfigError(`The keys file ${path} cannot be read. Check its owner and permissions.`, {
      cause: error,
    })
  }
  const parsed = FILE.safeParse(parse(text))
  if (parsed.success) return parsed.data.keys
  throw new ConfigError(
    `${path} is not a keys file of this version. Restore it from a backup, or remove it and add the keys again.`,
  )
}

/** Replaces the file, readable by its owner only. */
export function writeCallerKeys(path: string, keys: readonly CallerKey[]): void {
  replaceFile(path, `${JSON.stringify({ version: 1, keys }, undefined, 2)}\n`, 0o600)
}

/** Follows the file while the gateway runs. */
export class CallerKeysWatch {
  readonly #path: string
  readonly #clock: Clock
  readonly #onFault: (error: unknown) => void
  #keys: readonly CallerKey[]
  #seen: string
  #lookedAt: number

  /**
   * @param onFault called when the file becomes invalid; the keys read last then stay in force
   * @throws ConfigError as {@link readCallerKeys}
   */
  constructor(path: string, clock: Clock, onFault: (error: unknown) => void) {
    this.#path = path
    this.#clock = clock
    this.#onFault = onFault
    this.#seen = fingerprint(path)
    this.#keys = readCallerKeys(path)
    this.#lookedAt = clock.now()
  }

  /** The current keys, at most half a second old. The list is the same object until the file changes. */
  entries(): readonly CallerKey[] {
    const now = this.#clock.now()
    // A clock that was set back must not keep the file from being checked.
    if (Math.abs(now - this.#lookedAt) < FRESH_MS) return this.#keys
    this.#lookedAt = now
    const seen = fingerprint(this.#path)
    if (seen === this.#seen) return this.#keys
    this.#seen = seen
    try {
      this.#keys = readCallerKeys(this.#path)
    } catch (error) {
      this.#onFault(error)
    }
    return this.#keys
  }
}

/** Changes with every write: the file is replaced, so that its inode changes too. */
function fingerprint(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stat ? `${stat.ino} ${stat.mtimeNs} ${stat.size}` : 'none'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
