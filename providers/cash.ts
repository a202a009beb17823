/** A toy payer for tests, without chain and key. Its payments are worth nothing. */
import { randomBytes } from 'node:crypto'
import { composeAuthorization } from '../src/core/payer/eip3009.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import type { RandomBytes } from '../src/core/ids.ts'
import type { Authorization, ChargeOutcome, Provider } from '../src/core/payer/provider.ts'
import { Quote } from '../src/core/policy/gate.ts'
import { encodeBase64Json } from '../src/core/x402/wire-json.ts'
import { HEADERS } from '../src/core/x402/payment-headers.ts'

/** Options of {@link cash}. */
export interface CashOptions {
  /** CAIP-2 ids; default Base Sepolia. */
  readonly networks?: readonly string[] | undefined
  readonly random?: RandomBytes | undefined
  readonly clock?: Clock | undefined
}

/** One payment that was authorized. */
export interface CashPayment {
  readonly charge: string
  readonly quote: Quote
  readonly nonce: string
  /** How it ended; `undefined` while unknown. */
  readonly outcome: ChargeOutcome | undefined
}

/** A payer that records the payments it was asked for. */
export interface CashProvider extends Provider {
  /** Oldest first. */
  readonly payments: readonly CashPayment[]
  /** Whether {@link Provider.close} was called. */
  readonly isClosed: boolean
}

/** The address that toy payments come from. */
const TOY_PAYER = '0x00000000000000000000000000000000000ca581'

/** Makes a toy payer. It supports the schemes `cash` and `exact`. */
export function cash(options: CashOptions = {}): CashProvider {
  const { networks = ['eip155:84532'], random = randomBytes, clock = systemClock } = options
  const payments: CashPayment[] = []
  let isClosed = false
  return {
    name: 'cash',
    networks,
    payments,
    get isClosed() {
      return isClosed
    },
    supports: (offer) => offer.scheme === 'cash' || offer.scheme === 'exact',
    authorize(quote, charge, signal): Promise<Authorization> {
      return settle(() => {
        if (!Quote.isVetted(quote)) throw new TypeError('cash was given a quote that did not pass the gate.')
        signal.throwIfAborted()
        const nonce = `0x${Buffer.from(random(32)).toString('hex')}`
        payments.push({ charge, quote, nonce, outcome: undefined })
        const payload = { cash: quote.amount.toString(), nonce }
        return {
          kind: 'authorization',
          header: { name: HEADERS.signature, value: encodeBase64Json({ x402Version: 2, payload }) },
          record: composeAuthorization(quote, TOY_PAYER, nonce, clock.now()),
        }
      })
    },
    closed(charge, outcome) {
      return settle(() => {
        const index = payments.findIndex((payment) => payment.charge === charge)
        const payment = payments[index]
        if (payment) payments[index] = { ...payment, outcome }
      })
    },
    close() {
      return settle(() => {
        isClosed = true
      })
    },
  }
}

function settle<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(work()))
}
