/** Creates and revokes caller keys, also while a gateway runs; every change is audited. */
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { RandomBytes } from '../../core/ids.ts'
import { readCallerKeys, writeCallerKeys, type CallerKey } from '../../io/callers/caller-keys.ts'
import { takeLock } from '../../io/files/file-lock.ts'
import { hashKey } from '../../io/callers/hash-key.ts'
import { thisInstance } from '../../io/ledger/instance.ts'
import { withCommandAudit, withLedger } from './command-audit.ts'
import type { AuditSink } from '../../io/audit/audit-queue.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { printable } from '../../core/printable.ts'
import { unknownName } from '../../io/names/nearest-name.ts'

/** The part of a configuration that key management uses. */
export type KeysConfig = Pick<ResolvedConfig, 'keys' | 'callers' | 'audit' | 'store'>

/** Where a change is recorded: a command's audit file, or that of the gateway that is asked for it. */
type Recording = (use: (audit: Pick<AuditSink, 'append'>) => Promise<void>) => Promise<void>

/** What `tollway keys add` and `set` say about a caller. */
export interface KeyTerms {
  /** Names or patterns; default all models. */
  readonly models?: readonly string[] | undefined
  /** Milliseconds since the epoch. */
  readonly expires?: number | undefined
  readonly requestsPerMinute?: number | undefined
  readonly tokensPerMinute?: number | undefined
  readonly maxParallel?: number | undefined
  readonly team?: string | undefined
  /** As `5/day`. */
  readonly budgetUsd?: readonly string[] | undefined
}

/** The arguments of `tollway keys add`. */
export interface KeyRequest extends KeyTerms {
  readonly id: string
}

const KEY_BYTES = 32
const HINT_LENGTH = 7
const ID = /^[A-Za-z0-9._-]{1,64}$/

/** The keys in the keys file. @throws ConfigError if no keys file is configured, or if it is damaged */
export function listKeys(config: KeysConfig): CallerKey[] {
  return readCallerKeys(pathOf(config))
}

/**
 * Creates a key and stores its digest.
 * @returns the entry and the key itself, which is not stored anywhere
 * @throws ConfigError for an id that is taken or invalid
 * @throws TollwayError `audit_unavailable`
 */
export async function addKey(
  config: KeysConfig,
  request: KeyRequest,
  clock: Clock,
  random: RandomBytes,
  recording: Recording = commandRecording(config, clock),
): Promise<{ readonly entry: CallerKey; readonly key: string }> {
  const { id } = request
  if (!ID.test(id)) {
    throw new ConfigError(
      `"${printable(id, 100)}" cannot be a caller's id: use letters, digits, dots, dashes and underscores, at most 64.`,
    )
  }
  if (config.callers.some((caller) => caller.id === id)) {
    throw new ConfigError(`"${id}" is already a caller in the configuration file. Choose another id.`)
  }
  assertFuture(request, clock)
  const key = `tw-${Buffer.from(random(KEY_BYTES)).toString('base64url')}`
  const entry: CallerKey = {
    id,
    digest: hashKey(key),
    hint: key.slice(0, HINT_LENGTH),
    models: ['*'],
    created: clock.now(),
    ...termsOf(request),
  }
  await change(config, clock, 'caller_key.added', recording, (keys) => {
    if (keys.some((other) => other.id === id)) {
      throw new ConfigError(`"${id}" already has a key. Revoke it first, or choose another id.`)
    }
    return { keys: [...keys, entry], record: { caller: id, models: entry.models, ...recorded(entry) } }
  })
  return { entry, key }
}

/**
 * Revokes a caller's key; a running gateway refuses it within half a second.
 * @throws ConfigError if there is no such key
 * @throws TollwayError `audit_unavailable`
 */
export async function revokeKey(
  config: KeysConfig,
  id: string,
  clock: Clock,
  recording: Recording = commandRecording(config, clock),
): Promise<void> {
  await change(config, clock, 'caller_key.revoked', recording, (keys) => {
    known(config, keys, id, 'Remove it there.')
    return { keys: keys.filter((key) => key.id !== id), record: { caller: id } }
  })
}

/**
 * Changes what a caller may do; its key stays. A running gateway applies it within half a second.
 * @param remove terms to take away, by their names in the file
 * @throws ConfigError if there is no such key, or nothing to change
 * @throws TollwayError `audit_unavailable`
 */
export async function changeKey(
  config: KeysConfig,
  { id, ...terms }: KeyRequest,
  remove: readonly string[],
  clock: Clock,
  recording: Recording = commandRecording(config, clock),
): Promise<CallerKey> {
  assertFuture(terms, clock)
  const given = termsOf(terms)
  if (Object.keys(given).length + remove.length === 0) {
    throw new ConfigError('There is nothing to change. Name a limit, a budget, models, a team or an expiry.')
  }
  let changed: CallerKey | undefined
  await change(config, clock, 'caller_key.changed', recording, (keys) => {
    const before = known(config, keys, id, 'Change it there.')
    const kept = Object.fromEntries(Object.entries(before).filter(([name]) => !remove.includes(name)))
    const entry: CallerKey = { ...before, ...blank(remove), ...kept, ...given }
    changed = entry
    const record = { caller: id, set: given, removed: [...remove], models: entry.models, ...recorded(entry) }
    return { keys: keys.map((key) => (key.id === id ? entry : key)), record }
  })
  if (changed) return changed
  throw new ConfigError(`"${id}" has no key.`)
}

/** The entry of a caller. @throws ConfigError if there is none */
function known(config: KeysConfig, keys: readonly CallerKey[], id: string, fix: string): CallerKey {
  const found = keys.find((key) => key.id === id)
  if (found) return found
  const isFixed = config.callers.some((caller) => caller.id === id)
  throw new ConfigError(
    isFixed
      ? `"${id}" is a caller in the configuration file. ${fix}`
      : unknownName(
          'caller',
          id,
          keys.map((key) => key.id),
        ),
  )
}

function assertFuture({ expires }: KeyTerms, clock: Clock): void {
  if (expires === undefined || expires > clock.now()) return
  throw new ConfigError('The expiry date is in the past. Give a later one.')
}

/** The terms that were given, in the file's names. */
function termsOf(terms: KeyTerms): Partial<CallerKey> {
  return {
    ...(terms.models === undefined ? {} : { models: [...terms.models] }),
    ...defined('expires', terms.expires),
    ...defined('requests_per_minute', terms.requestsPerMinute),
    ...defined('tokens_per_minute', terms.tokensPerMinute),
    ...defined('max_parallel_requests', terms.maxParallel),
    ...(terms.team === undefined ? {} : { team: terms.team }),
    ...(terms.budgetUsd === undefined ? {} : { budget_usd: [...terms.budgetUsd] }),
  }
}

/** The removed terms without values, which the file leaves out. */
function blank(remove: readonly string[]): Partial<CallerKey> {
  return Object.fromEntries(remove.map((name) => [name, undefined]))
}

function commandRecording(config: KeysConfig, clock: Clock): Recording {
  return async (use) => {
    await withLedger(config, async (store) => {
      await withCommandAudit(config, clock, thisInstance(clock).id, store, use)
    })
  }
}

/** One change at a time, audited before it takes effect: every valid key has a record. */
async function change(
  config: KeysConfig,
  clock: Clock,
  type: string,
  recording: Recording,
  work: (keys: readonly CallerKey[]) => {
    readonly keys: readonly CallerKey[]
    readonly record: Readonly<Record<string, unknown>>
  },
): Promise<void> {
  const path = pathOf(config)
  const instance = thisInstance(clock)
  const lock = takeLock(`${path}.lock`, instance.id)
  if ('heldBy' in lock) {
    throw new ConfigError(
      `Another command is changing ${path}; nothing was changed. Try again when it has finished.`,
    )
  }
  try {
    const { keys, record } = work(readCallerKeys(path))
    await recording(async (audit) => {
      await audit.append(type, { ...record }, { durable: true })
      writeCallerKeys(path, keys)
    })
  } finally {
    lock.release()
  }
}

/** What a key may spend and for whom, where that is said. */
function recorded({ team, budget_usd: budgets }: CallerKey): Record<string, unknown> {
  return {
    ...(team === undefined ? {} : { team }),
    ...(budgets === undefined ? {} : { budget_usd: budgets }),
  }
}

function pathOf({ keys }: KeysConfig): string {
  if (keys) return keys.path
  throw new ConfigError(
    'No keys file is configured. Add `keys: { path: ./tollway-keys.json }`, then restart the gateway.',
  )
}

function defined<K extends string>(name: K, value: number | undefined): Partial<Record<K, number>> {
  const one: Partial<Record<K, number>> = {}
  if (value !== undefined) one[name] = value
  return one
}
