/** What a configuration says, as digests: two of them can be compared key by key without keeping a secret. */
import { createHash, createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { isPostgres } from '../../../io/store/postgres/database/address.ts'
import { isPlainObject } from './interpolate.ts'
import { notesOf, schemaAt, unwrap } from './schema-walk.ts'
import { configSchema } from '../schema/schema.ts'
import { formatPath, type ConfigPath } from '../values/problems.ts'

/** The digests of one configuration. */
export interface ConfigFingerprint {
  /** SHA-256 of all values but secrets, lower-case hex: equal for files that say the same. */
  readonly hash: string
  /** By key, as in `budgets.all.limit_usd`: entries of a list go by their names. */
  readonly values: ReadonlyMap<string, FingerprintValue>
}

/** One value of a configuration. */
export interface FingerprintValue {
  /** Means something within this process only, so that no secret can be guessed from it. */
  readonly digest: string
  /** The key of the list entry that the value belongs to. */
  readonly entry?: string | undefined
  /** The list whose order this is. */
  readonly orderOf?: string | undefined
}

const PROCESS_KEY = createSecretKey(randomBytes(32))

/** The keys that name an entry of a list, so that entries are compared by name and not by position. */
const NAMES = ['model_name', 'name', 'id', 'symbol'] as const

/** Addresses of nodes and webhooks may hold a key, that of a database a password. */
function isPrivateAddress(path: ConfigPath, value: unknown): boolean {
  const at = formatPath(path)
  if (at === 'store') return typeof value === 'string' && isPostgres(value)
  return path.at(-1) === 'rpc' || at === 'notify.url'
}

/** A value's place. */
interface Place {
  /** With names for entries of lists. */
  readonly path: ConfigPath
  /** The same in the schema: with positions. */
  readonly at: ConfigPath
  readonly entry?: string | undefined
}

/** Makes the digests. @param checked what `configSchema` returned */
export function fingerprintOf(checked: object): ConfigFingerprint {
  const values = new Map<string, FingerprintValue>()
  const open = createHash('sha256')
  const note = ({ path, entry }: Place, value: unknown, isSecret = false, orderOf?: string): void => {
    const text = JSON.stringify(value, plain) ?? ''
    const digest = createHmac('sha256', PROCESS_KEY).update(text).digest('base64url')
    values.set(formatPath(path), { digest, entry, orderOf })
    const isHidden = isSecret || isPrivateAddress(path, value)
    open.update(`${JSON.stringify(path)}:${isHidden ? 'secret' : text}\n`)
  }
  const walk = (value: unknown, place: Place): void => {
    const { path, at } = place
    const schema = schemaAt(configSchema, at, checked)
    const isSecret = schema !== undefined && notesOf(schema).secret !== undefined
    const shape = schema && !isSecret ? unwrap(schema) : undefined
    if (shape instanceof z.ZodArray && Array.isArray(value) && value.every(isPlainObject)) {
      const names = namesOf(value)
      note(place, names, false, formatPath(path))
      for (const [index, entry] of value.entries()) {
        const inner = [...path, names[index] ?? index]
        walk(entry, { path: inner, at: [...at, index], entry: place.entry ?? formatPath(inner) })
      }
    } else if ((shape instanceof z.ZodObject || shape instanceof z.ZodRecord) && isPlainObject(value)) {
      for (const key of Object.keys(value).toSorted()) {
        const inner = { path: [...path, key], at: [...at, key], entry: place.entry }
        if (value[key] !== undefined) walk(value[key], inner)
      }
    } else note(place, value, isSecret)
  }
  walk(checked, { path: [], at: [] })
  return { hash: open.digest('hex'), values }
}

/**
 * The keys whose values differ, sorted: `budgets.all.limit_usd`. An entry that only one of the two has is named once, not
 * key by key; the order of a list only where its entries are the same.
 */
export function differingKeys(before: ConfigFingerprint, after: ConfigFingerprint): string[] {
  const [old, now] = [entriesOf(before), entriesOf(after)]
  const differing = new Set<string>()
  const reordered = new Set<string>()
  for (const key of new Set([...before.values.keys(), ...after.values.keys()])) {
    const [was, is] = [before.values.get(key), after.values.get(key)]
    if (was?.digest === is?.digest) continue
    const { entry, orderOf } = is ?? was ?? {}
    if (orderOf !== undefined) reordered.add(orderOf)
    else differing.add(entry !== undefined && old.has(entry) !== now.has(entry) ? entry : key)
  }
  const isTold = (list: string): boolean => [...differing].some((key) => key.startsWith(list))
  return [...differing, ...[...reordered].filter((list) => !isTold(list))].toSorted()
}

function entriesOf({ values }: ConfigFingerprint): ReadonlySet<string> {
  return new Set([...values.values()].flatMap(({ entry }) => entry ?? []))
}

/** Entries of one name are told apart by their number among them. */
function namesOf(entries: readonly Readonly<Record<string, unknown>>[]): string[] {
  const seen = new Map<string, number>()
  return entries.map((entry, index) => {
    const found = NAMES.map((key) => entry[key]).find((value) => typeof value === 'string')
    const name = typeof found === 'string' ? found : String(index + 1)
    const count = (seen.get(name) ?? 0) + 1
    seen.set(name, count)
    return count === 1 ? name : `${name}#${count}`
  })
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Map ? [...value] : value
}
