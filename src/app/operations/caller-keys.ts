/** The keys of callers as people make and revoke them. Works beside a running gateway, on record. */
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

/** The part of a configuration that keys are about. */
export type KeysConfig = Pick<ResolvedConfig, 'keys' | 'callers' | 'audit' | 'store'>

/** What `tollway keys add` was told. */
export interface KeyRequest {
  readonly id: string
  /** Names or patterns; all models without it. */
  readonly models?: readonly string[] | undefined
  /** Milliseconds since the epoch. */
  readonly expires?: number | undefined
  readonly requestsPerMinute?: number | undefined
  readonly tokensPerMinute?: number | undefined
  readonly maxParallel?: number | undefined
}

const KEY_BYTES = 32
const HINT_LENGTH = 7
const ID = /^[A-Za-z0-9._-]{1,64}$/

/** The keys of the file. @throws ConfigError without a keys file in the configuration, or for a broken one */
export function listKeys(config: KeysConfig): CallerKey[] {
  return readCallerKeys(pathOf(config))
}

/**
 * Makes a key and notes its digest.
 * @returns the entry, and the key itself: it is kept nowhere
 * @throws ConfigError for an id that is taken or unusable
 * @throws TollwayError `audit_unavailable`
 */
export async function addKey(
  config: KeysConfig,
  wish: KeyRequest,
  clock: Clock,
  random: RandomBytes,
): Promise<{ readonly entry: CallerKey; readonly key: string }> {
  const { id } = wish
  if (!ID.test(id)) {
    throw new ConfigError(
      `"${printable(id, 100)}" cannot be a caller's id: use letters, digits, dots, dashes and underscores, at most 64.`,
    )
  }
  if (config.callers.some((caller) => caller.id === id)) {
    throw new ConfigError(`"${id}" is a caller of the configuration file already. Choose another id.`)
  }
  if (wish.expires !== undefined && wish.expires <= clock.now()) {
    throw new ConfigError('The key would have expired already. Give a later date.')
  }
  const key = `tw-${Buffer.from(random(KEY_BYTES)).toString('base64url')}`
  const entry: CallerKey = {
    id,
    digest: hashKey(key),
    hint: key.slice(0, HINT_LENGTH),
    models: [...(wish.models ?? ['*'])],
    created: clock.now(),
    ...defined('expires', wish.expires),
    ...defined('requests_per_minute', wish.requestsPerMinute),
    ...defined('tokens_per_minute', wish.tokensPerMinute),
    ...defined('max_parallel_requests', wish.maxParallel),
  }
  await change(config, clock, 'caller_key.added', (keys) => {
    if (keys.some((known) => known.id === id)) {
      throw new ConfigError(`There is a key for "${id}" already. Revoke it first, or choose another id.`)
    }
    return { keys: [...keys, entry], record: { caller: id, models: entry.models } }
  })
  return { entry, key }
}

/**
 * Takes a caller's key away; a running gateway refuses it within half a second.
 * @throws ConfigError when there is none
 * @throws TollwayError `audit_unavailable`
 */
export async function revokeKey(config: KeysConfig, id: string, clock: Clock): Promise<void> {
  await change(config, clock, 'caller_key.revoked', (keys) => {
    if (!keys.some((known) => known.id === id)) {
      const fixed = config.callers.some((caller) => caller.id === id)
      throw new ConfigError(
        fixed
          ? `"${id}" is a caller of the configuration file. Remove it there.`
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

/** One change at a time, and on record before it counts: a key that works was given out on record. */
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
    throw new ConfigError(`Another command is changing ${path} right now. Try again when it is done.`)
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

function pathOf({ keys }: KeysConfig): string {
  if (keys) return keys.path
  throw new ConfigError(
    'The configuration names no keys file. Add `keys: { path: ./tollway-keys.json }`, then restart the gateway.',
  )
}

function defined<K extends string>(name: K, value: number | undefined): Partial<Record<K, number>> {
  const one: Partial<Record<K, number>> = {}
  if (value !== undefined) one[name] = value
  return one
}
