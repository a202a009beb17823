/**
 * The terms that a seller asks for again and again: while they are known, a payment need not be preceded by the question what it
 * costs. Kept in memory only, so that a new process asks again.
 */
import type { Challenge } from './x402.ts'
import { isMadeForOneRequest, offersText, repeatable, termsText } from './terms-text.ts'

/** How many questions with bodies of different size must have had the same answer. */
const ENOUGH = 5

/** How old the last question may be, milliseconds. */
const MAX_AGE_MS = 10 * 60_000

/** The shortest time between two questions that are asked behind an answer, milliseconds. */
const AGAIN_MS = 30_000

/** How long a seller is always asked after its terms were seen to vary, milliseconds. */
const VARIES_MS = 24 * 60 * 60_000

/** The most terms that are kept; the one that was asked for longest ago goes first. */
const MAX_ENTRIES = 256

/** The longest terms that are kept, characters of JSON. Real ones have 600 to 10,000. */
const MAX_TEXT = 16_384

/** The most shapes of requests that are kept per terms: others are always asked about. */
const MAX_SHAPES = 64

/** A question, as far as the price may depend on it. */
export interface TermsQuestion {
  /** The seller's `api_base`. */
  readonly seller: string
  /** Path, model and payer; for which the seller asks the same terms. */
  readonly key: string
  /** What the request says of the work that it wants; `undefined` when that cannot be compared. */
  readonly shape: string | undefined
  /** Of its body, bytes. */
  readonly size: number
}

/** Terms that may be paid without asking for them. */
export interface RememberedOffer {
  readonly challenge: Challenge
  /** How far the seller's clock was ahead of ours at the last question, seconds; `undefined` when it did not say. */
  readonly skew: number | undefined
}

/** What an answer to a question means: the terms may be kept, or this seller prices each request. */
export type Noted = 'kept' | 'varies'

interface Entry extends RememberedOffer {
  readonly text: string
  readonly sizes: Set<number>
  readonly shapes: Set<string>
  /** When the last question was answered, milliseconds since the epoch; `undefined` while there is a reason to ask first. */
  askedAt: number | undefined
  isAsking: boolean
}

/** The remembered terms of one payment engine. Times are milliseconds since the epoch. */
export class RememberedTerms {
  readonly #entries = new Map<string, Entry>()
  /** Until when a seller is always asked. */
  readonly #varying = new Map<string, number>()
  readonly #closing = new AbortController()

  /** Aborted when nothing more may be asked. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Ends the questions that are asked behind answers. */
  close(): void {
    this.#closing.abort()
  }

  /**
   * Notes the answer to a question.
   * @param skew see {@link RememberedOffer.skew}
   * @returns `varies` when this answer shows that the seller prices each request; it is always asked for a day then
   */
  note(question: TermsQuestion, challenge: Challenge, skew: number | undefined, now: number): Noted {
    const { seller, key, shape, size } = question
    const text = isMadeForOneRequest(challenge) ? undefined : termsText(challenge)
    const known = this.#entries.get(key)
    this.#entries.delete(key)
    if (text === undefined || (known && known.text !== text)) return this.#varies(seller, now)
    if (text.length > MAX_TEXT) return 'kept'
    const { sizes = new Set<number>(), shapes = new Set<string>(), isAsking = false } = known ?? {}
    if (sizes.size < ENOUGH) sizes.add(size)
    if (shape !== undefined && shapes.size < MAX_SHAPES) shapes.add(shape)
    this.#entries.set(key, {
      text,
      challenge: repeatable(challenge),
      skew,
      sizes,
      shapes,
      askedAt: now,
      isAsking,
    })
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest)
    return 'kept'
  }

  /** The terms that the seller would ask for, if that is known; `undefined` when it must be asked. */
  recall({ seller, key, shape }: TermsQuestion, now: number): RememberedOffer | undefined {
    const known = this.#entries.get(key)
    if (known?.askedAt === undefined || known.sizes.size < ENOUGH) return undefined
    if (shape === undefined || !known.shapes.has(shape)) return undefined
    const age = now - known.askedAt
    return age >= 0 && age <= MAX_AGE_MS && !this.isVarying(seller, now) ? known : undefined
  }

  /** Whether a seller was seen to price each request within the last day. */
  isVarying(seller: string, now: number): boolean {
    const until = this.#varying.get(seller)
    if (until === undefined) return false
    if (now < until) return true
    this.#varying.delete(seller)
    return false
  }

  /**
   * Takes the turn to ask behind an answer.
   * @returns what ends the turn; `undefined` when another request is asking already, or the last question is not old enough
   */
  takeTurn({ key }: TermsQuestion, now: number): (() => void) | undefined {
    const known = this.#entries.get(key)
    if (known?.askedAt === undefined || known.isAsking || this.closing.aborted) return undefined
    if (now - known.askedAt < AGAIN_MS) return undefined
    known.isAsking = true
    return () => {
      const still = this.#entries.get(key)
      if (still) still.isAsking = false
    }
  }

  /** The seller did not answer as terms are answered: it is asked before the next payment. */
  doubt({ key }: TermsQuestion): void {
    const known = this.#entries.get(key)
    if (known) known.askedAt = undefined
  }

  /** The seller wants no payment any more. */
  forget({ key }: TermsQuestion): void {
    this.#entries.delete(key)
  }

  #varies(seller: string, now: number): Noted {
    this.#varying.set(seller, now + VARIES_MS)
    return 'varies'
  }
}

/** Whether a fresh 402 makes other offers than the remembered one did. */
export function hasOtherOffers(remembered: RememberedOffer, fresh: Challenge): boolean {
  return offersText(remembered.challenge) !== offersText(fresh)
}
