import { ERROR_TABLE } from './error-table.ts'
import { makesClientsResend } from './resend-triggers.ts'
import { visible } from './visible.ts'

/** A code of {@link ERROR_TABLE}: the `error.code` that a client sees. */
export type ErrorCode = keyof typeof ERROR_TABLE

/** The page that explains every code; each code has an anchor of its own name there. */
const ERROR_REFERENCE = 'docs/errors.md'

/** OpenAI's error envelope, with a link to the error reference. */
export interface ErrorBody {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    /** Ours, or a seller's about the request itself, such as `context_length_exceeded`, upon which agents act. */
    readonly code: string
    /** See {@link TollwayError.docs}. */
    readonly docs: string
    /** What the seller answered, where it did. */
    readonly seller?: SellerAnswer
  }
}

/** A seller's own answer, its words cleaned of secrets and bounded. */
export interface SellerAnswer {
  /** HTTP status. */
  readonly status: number
  /** `null` when it named none. */
  readonly code: string | null
  /** In any script, without control characters, at most 256 characters; `null` when it said nothing, or words at which clients pay again. */
  readonly message: string | null
}

/** The fields of a {@link TollwayError}. */
export interface TollwayErrorParameters {
  readonly code: ErrorCode
  /** What happened, in one sentence. Shown to the client, so it never contains a seller's text, a key or a signature. */
  readonly message: string
  /** What to do, one sentence each. Appended to the message. */
  readonly advice?: readonly string[] | undefined
  /** The request field that caused it, as in OpenAI's `error.param`. */
  readonly param?: string | undefined
  /** Overrides the table's status. Only for `seller_error`, which keeps a seller's 400, 404 and 413. */
  readonly status?: number | undefined
  /** Facts for the audit record and the log, never for the client. A seller's own text belongs here. */
  readonly details?: Readonly<Record<string, string | number | boolean | null>> | undefined
  /** `false`: the same request fails again however long the client waits, so no `retry-after` is sent. */
  readonly waitHelps?: boolean | undefined
  /** What the seller answered, for the body. */
  readonly seller?: SellerAnswer | undefined
  /** The code for the client, where a seller's own about the request says more. */
  readonly clientCode?: string | undefined
  /** Extra response headers, e.g. `retry-after`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly cause?: unknown
}

/** An error that carries its HTTP response. Status and type come from {@link ERROR_TABLE}. */
export class TollwayError extends Error {
  override readonly name = 'TollwayError'
  readonly code: ErrorCode
  readonly status: number
  readonly type: string
  readonly param: string | null
  readonly advice: readonly string[]
  readonly details: Readonly<Record<string, string | number | boolean | null>>
  readonly headers: Readonly<Record<string, string>>
  readonly seller: SellerAnswer | undefined
  /** See {@link TollwayErrorParameters.clientCode}. */
  readonly clientCode: string
  /** Where the code is explained, relative to the root of this package: `docs/errors.md#<code>`. */
  readonly docs: string
  readonly #given: TollwayErrorParameters

  constructor(parameters: TollwayErrorParameters) {
    const advice = parameters.advice ?? []
    super(
      visible([parameters.message, ...advice].join(' ')),
      parameters.cause === undefined ? {} : { cause: parameters.cause },
    )
    this.#given = parameters
    const entry = ERROR_TABLE[parameters.code]
    this.code = parameters.code
    this.status = parameters.status ?? entry.status
    this.type = entry.type
    this.param = parameters.param ?? null
    this.advice = advice
    this.docs = `${ERROR_REFERENCE}#${parameters.code}`
    this.details = parameters.details ?? {}
    const waits = entry.status === 503 && parameters.waitHelps !== false
    this.headers = { ...(waits ? { 'retry-after': '5' } : {}), ...parameters.headers }
    this.seller = parameters.seller && withoutTriggers(parameters.seller)
    this.clientCode = parameters.clientCode ?? parameters.code
  }

  /** Whether the next candidate of the route may be tried: never after a refusal by policy or budget (rule 7). */
  get mayTryNext(): boolean {
    return ERROR_TABLE[this.code].chain === 'next'
  }

  /** The same error with what the seller said about it. */
  withSeller(said: Pick<TollwayErrorParameters, 'seller' | 'headers' | 'details'>): TollwayError {
    const { headers, details } = this.#given
    return new TollwayError({
      ...this.#given,
      ...said,
      headers: { ...headers, ...said.headers },
      details: { ...details, ...said.details },
    })
  }

  /** The OpenAI-shaped error body. */
  toBody(): ErrorBody {
    const { message, type, param, clientCode: code, docs, seller } = this
    return { error: { message, type, param, code, docs, ...(seller ? { seller } : {}) } }
  }
}

/** The seller's answer without a message at which clients would change the request and pay again. */
function withoutTriggers(seller: SellerAnswer): SellerAnswer {
  return seller.message !== null && makesClientsResend(seller.message) ? { ...seller, message: null } : seller
}

/** A mistake in the configuration or in how the parts are assembled. Thrown at start, never sent to a client. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}
