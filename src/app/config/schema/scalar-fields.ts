/** The scalar values of a configuration: how each is checked and the unit it is converted to. */
import bytes from 'bytes'
import { z } from 'zod'
import { passRules } from '../../../core/request/forwarded-paths.ts'
import { HEADER_NAME, TAG } from '../../../core/budget/tags.ts'
import { ConfigError } from '../../../core/errors.ts'
import { parseAtomic, parseRate, parseUsd } from '../../../core/money/money.ts'
import { parseRatio } from '../../../core/policy/price-change.ts'
import { parseInstant } from '../../../core/instant.ts'
import { isTimezone, parseWindow } from '../../../core/budget/window.ts'
import { checkpointSigner } from '../../../io/audit/audit-signer.ts'
import { webhookKey } from '../../../io/webhook/sign-webhook.ts'
import { isPostgres, parseAddress } from '../../../io/store/postgres/database/address.ts'
import { nearestName } from '../../../io/names/nearest-name.ts'
import { isOrigin, parseApiBase, parseListen } from '../values/addresses.ts'
import { parseReference } from '../values/secrets.ts'
import { HOST_NAME } from '../../../core/host-name.ts'

const WEBHOOK_FAULT =
  'must be an http:// or https:// address without user name. The receiver checks the signature instead (docs/notify.md).'
/** Bytes. */
const MIN_WEBHOOK_KEY = 16
const MEBIBYTE = 1_048_576
const MAX_BODY_BYTES = 1024 * MEBIBYTE
const SIZE = /^\d{1,15}(?:\.\d{1,3})? ?(?:b|kb|mb|gb)$/i

/** A string field that `read` converts to its final form; `undefined` means that the value is invalid. */
export function reading<T>(
  read: (text: string) => T | undefined,
  fault: string | ((text: string) => string),
) {
  return z.string().transform((text, context): T => {
    const value = read(text)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: typeof fault === 'string' ? fault : fault(text) })
    return z.NEVER
  })
}

/** Micro-USD from a decimal string. */
export const usd = () =>
  reading(
    parseUsd,
    'must be an amount in USD with at most 6 decimals, without sign or unit, such as "5.00".',
  ).meta({
    money: true,
  })

/** Micro-USD from a decimal string; `none` gives `undefined`. */
export const ceiling = () =>
  reading<{ readonly microUsd: bigint | undefined }>((text) => {
    const microUsd = text === 'none' ? undefined : parseUsd(text)
    return text === 'none' || microUsd !== undefined ? { microUsd } : undefined
  }, 'must be an amount in USD with at most 6 decimals, without sign or unit, such as "5.00".').meta({
    money: true,
  })

/** A USD rate from a decimal string. */
export const rate = () =>
  reading(parseRate, 'must be a price in USD above zero with at most 18 decimals, such as "0.05".').meta({
    money: true,
  })

/** Millionths from a decimal string: `"0.20"` is 20 %. */
export const ratio = () =>
  reading(parseRatio, 'must be a ratio with at most 6 decimals, without sign or %, such as "0.20" for 20 %.')

/** A price of one token in USD, kept as written. */
export const perToken = () =>
  z
    .string()
    .regex(
      /^(?:0|[1-9]\d{0,5})(?:\.\d{1,18})?$/,
      'must be a price in USD with at most 18 decimals, such as "0.0000025".',
    )
    .meta({ money: true })

/** Milliseconds since the epoch from a date (its beginning in UTC) or a time with its zone. */
export const instant = () =>
  reading(
    parseInstant,
    'must be a date such as "2027-01-31", or a time with its zone such as "2027-01-31T12:00:00Z".',
  )

/** A user-chosen name of a budget or payer; also a metric label. */
export const name = () =>
  z.string().regex(/^[a-z0-9_-]{1,40}$/, 'must be 1 to 40 of the characters a-z, 0-9, _ and -.')

/** A caller's id: it appears in audit records and metric labels. */
export const callerId = () =>
  z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes or underscores.')

/** A model name or pattern. */
export const model = () =>
  z
    .string()
    .regex(
      /^(?=.{1,256}$)(?!.*\*\*)[^\s\p{Cc}]*$/u,
      'must be 1 to 256 characters without spaces and without **, such as "paid/*" or gpt-4o.',
    )

/** Address of a block explorer's page for a transaction, or `none`. */
export const explorer = () =>
  z
    .string()
    .refine(
      (text) => text === 'none' || (/^https?:\/\/[^\s"'<>]+$/.test(text) && text.split('{tx}').length === 2),
      'must be an address with {tx} where the transaction hash goes, such as https://basescan.org/tx/{tx}, or none for no link.',
    )
    .transform((text) => (text === 'none' ? undefined : text))

/** A URL that paths are appended to; a trailing slash is removed. */
export const apiBase = () =>
  z.string().transform((text, context): string => {
    const parsed = parseApiBase(text)
    if ('apiBase' in parsed) return parsed.apiBase
    context.addIssue({ code: 'custom', message: parsed.fault })
    return z.NEVER
  })

/** An HTTP(S) address of a node; may hold a key. */
export const rpcUrl = () =>
  z
    .string()
    .refine(
      (text) => /^https?:\/\//i.test(text) && URL.canParse(text) && new URL(text).hash === '',
      'must be an http:// or https:// address of a JSON-RPC node.',
    )

/** An HTTP(S) address that messages are posted to; may hold a secret. */
export const webhookUrl = () => z.string().refine(isWebhookUrl, WEBHOOK_FAULT)

/** An HTTP(S) address for people. */
export const pageUrl = () =>
  z
    .string()
    .refine(
      (text) => /^https?:\/\//i.test(text) && URL.canParse(text),
      'must be an http:// or https:// address.',
    )

/** The secret of a webhook: text, or `whsec_` and base64. */
export const webhookSecret = () =>
  z
    .string()
    .refine(
      (text) => isUnread(text) || webhookKey(text).length >= MIN_WEBHOOK_KEY,
      'must have at least 16 characters, or be whsec_ and the base64 of at least 16 bytes.',
    )
    .meta({ secret: 'text' })

/** Host and port to listen on. */
export const listenAddress = () =>
  reading(parseListen, 'must be host:port, such as 127.0.0.1:8402 or "[::1]:8402".')

/** `memory`, `sqlite:` and a path, or the address of a Postgres database; may hold a password. */
export const storeName = () =>
  z.string().transform((text, context): string => {
    const fault = storeFault(text)
    if (fault === undefined) return text
    context.addIssue({ code: 'custom', message: fault })
    return z.NEVER
  })

function storeFault(text: string): string | undefined {
  if (isPostgres(text)) return addressFault(text)
  if (text === 'memory' || /^sqlite:(?!\/\/|:memory:$)./.test(text)) return undefined
  return 'must be memory, or sqlite: and a path, such as sqlite:./tollway.db, or postgres://user@host/database.'
}

function addressFault(text: string): string | undefined {
  try {
    parseAddress(text)
    return undefined
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replace(/^store: /, '')
    throw error
  }
}

/** A key that travels in an HTTP header. */
export const headerKey = () =>
  z
    .string()
    .refine(
      (text) => /^[\x21-\x7e]{1,4096}$/.test(text) || isUnread(text),
      'resolves to text with blanks or non-ASCII characters, which no header carries.',
    )
    .meta({ secret: 'text' })

/** The key that signs audit checkpoints, PKCS #8 in PEM. */
export const signingKey = () =>
  z
    .string()
    .refine(
      (pem) => isUnread(pem) || isSigningKey(pem),
      'must lead to an Ed25519 private key in PEM. Make one with: tollway audit key --new audit-key.pem',
    )
    .meta({ secret: 'text' })

function isWebhookUrl(text: string): boolean {
  if (isUnread(text)) return true
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false
  const { username, password, hash } = new URL(text)
  return username === '' && password === '' && hash === ''
}

/** Whether a value is still an unresolved reference: the command does not need it, or its error was already reported. */
function isUnread(text: string): boolean {
  return parseReference(text, '.') !== undefined
}

function isSigningKey(pem: string): boolean {
  try {
    checkpointSigner(pem)
    return true
  } catch {
    return false
  }
}

/** A wallet key: stays a reference, see `KeyReference`. */
export const walletKey = () => z.string().meta({ secret: 'reference' })

/** How long a budget's limit lasts. */
export const window = () => reading(parseWindow, (text) => `${WINDOW_FAULT}${hint(text, WINDOW_NAMES)}`)

const WINDOW_NAMES = ['request', 'hour', 'day', 'week', 'month', 'lifetime']
const WINDOW_FAULT =
  'must be request, hour, day, week, month or lifetime, or a rolling length of minutes, hours or days up to 366d, such as 30m, 24h or 7d.'

/** Suggests the closest name after a list of choices. */
export function hint(text: string, known: readonly string[]): string {
  const near = nearestName(text, known)
  return near === undefined ? '' : ` Did you mean "${near}"?`
}

/** An amount in an asset's smallest units. */
export const atomic = () =>
  reading(
    parseAtomic,
    'must be an amount in the smallest units of the asset: digits alone, such as "1000000".',
  )

/** The symbol of an asset. */
export const symbol = () =>
  z.string().regex(/^[A-Za-z0-9._-]{1,20}$/, 'must be 1 to 20 letters, digits or the characters . _ and -.')

/** A tag of requests; also a metric label. */
export const tag = () =>
  z.string().regex(TAG, 'must be 1 to 64 letters, digits or the characters : . _ and -.')

/** The name of a request header, in lower case. */
export const headerName = () =>
  reading((text) => {
    const lower = text.toLowerCase()
    return HEADER_NAME.test(lower) ? lower : undefined
  }, 'must be the name of a request header, such as x-tollway-tags.')

/** An IANA time zone. */
export const timezone = () =>
  z.string().refine(isTimezone, {
    error: ({ input }) =>
      `is not a time zone. Use an IANA name such as Europe/Berlin or UTC.${hint(String(input), Intl.supportedValuesOf('timeZone'))}`,
  })

/** Milliseconds from a number of seconds. */
export const seconds = (most: number) =>
  z
    .number()
    .min(0.001)
    .max(most)
    .transform((value) => Math.round(value * 1000))

/** Bytes from a number, or a text such as `32mb`; 1024-based. */
export const size = () =>
  z
    .union([z.string(), z.number()])
    .transform((value, context): number => {
      const parsed = typeof value === 'number' || SIZE.test(value) ? bytes.parse(value) : null
      if (parsed !== null && Number.isInteger(parsed) && parsed >= 1024 && parsed <= MAX_BODY_BYTES)
        return parsed
      context.addIssue({ code: 'custom', message: SIZE_FAULT })
      return z.NEVER
    })
    .meta({ fault: SIZE_FAULT })

const SIZE_FAULT = 'must be a size from 1kb to 1gb, such as 32mb.'

/** `https://host` of a seller. */
export const origin = () =>
  z
    .string()
    .refine(
      isOrigin,
      'must be the origin of an api_base: https://host or https://host:port, in lower case, with nothing after it.',
    )

/** A path in addition to the built-in ones; pass-through decides which are valid. */
export const allowedPath = () =>
  z
    .string()
    .refine(
      isPassable,
      'must be a whole path such as /assistants, or end in /* as in /assistants/*, without dots, encoding or query.',
    )

function isPassable(path: string): boolean {
  try {
    passRules([path])
    return true
  } catch (error) {
    if (error instanceof ConfigError) return false
    throw error
  }
}

/** A host of the allow-list: no scheme, no port. */
export const hostName = () =>
  reading((text) => {
    const lower = text.toLowerCase()
    return HOST_NAME.test(lower) ? lower : undefined
  }, 'must be a host name or address without scheme, port or path, such as gateway.internal or "[::1]".')

/** A User-Agent. */
export const userAgent = () =>
  z.string().regex(/^[\x20-\x7e]{1,200}$/, 'must be at most 200 printable ASCII characters')

/** A name that becomes a label of metrics. */
export const provider = () =>
  z.string().regex(/^[\x21-\x7e]{1,64}$/, 'must be 1 to 64 printable characters without spaces.')
