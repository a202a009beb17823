/** Creates and revokes caller keys, also while a gateway runs; every change is audited. */
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { RandomBytes } from '../../core/ids.ts'
import { readCallerKeys, writeCallerKeys, type CallerKey } from '../../io/callers/caller-keys.ts'
import { takeLock } from '../../io/files/file-lock.ts'
import { hashKey } from '../../io/callers/hash-key.ts'
import { thisInstance } from '../../io/ledger/instance.ts'
import { withCommandAudit, withLedger } from './command-audit.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { printable } from '../../core/printable.ts'
import { unknownName } from '../../io/names/nearest-name.ts'

/** The part of a configuration that key management uses. */
export type KeysConfig = Pick<ResolvedConfig, 'keys' | 'callers' | 'audit' | 'store'>

/** The arguments of `tollway keys add`. */
export interface KeyRequest {
  readonly id: string
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
  if (request.expires !== undefined && request.expires <= clock.now()) {
    throw new ConfigError('The expiry date is in the past. Give a later one.')
  }
  const key = `tw-${Buffer.from(random(KEY_BYTES)).toString('base64url')}`
  const entry: CallerKey = {
    id,
    digest: hashKey(key),
    hint: key.slice(0, HINT_LENGTH),
    models: [...(request.models ?? ['*'])],
    created: clock.now(),
    ...defined('expires', request.expires),
    ...defined('requests_per_minute', request.requestsPerMinute),
    ...defined('tokens_per_minute', request.tokensPerMinute),
    ...defined('max_parallel_requests', request.maxParallel),
    ...(request.team === undefined ? {} : { team: request.team }),
    ...(request.budgetUsd === undefined ? {} : { budget_usd: [...request.budgetUsd] }),
  }
  await change(config, clock, 'caller_key.added', (keys) => {
    if (keys.some((known) => known.id === id)) {
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
export async function revokeKey(config: KeysConfig, id: string, clock: Clock): Promise<void> {
  await change(config, clock, 'caller_key.revoked', (keys) => {
    if (!keys.some((known) => known.id === id)) {
      const fixed = config.callers.some((caller) => caller.id === id)
      throw new ConfigError(
        fixed
          ? `"${id}" is a caller in the configuration file. Remove it there.`
          : unknownName(
              'caller',
              id,
              keys.map((known) => known.id),
            ),
      )
    }
    return { keys: keys.filter((known) => known.id !== id), record: { caller: id } }
  })
}

/** One change at a time, audited before it takes effect: every valid key has a record. */
async function change(
  config: KeysConfig,
  clock: Clock,
  type: string,
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
    await withLedger(config, async (store) => {
      await withCommandAudit(config, clock, instance.id, store, async (audit) => {
        await audit.append(type, { ...record }, { durable: true })
        writeCallerKeys(path, keys)
      })
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
