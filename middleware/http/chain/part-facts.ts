/** What is known about a handler beyond its name, for `assertOrder()` and for the check at request time. */
import { property } from '../../../src/core/property.ts'
import { ofThisCopy } from '../one-copy.ts'

/** Facts about one handler. */
export interface PartFacts {
  /** It sends `exchange.relay.reply` to the client, as `sseRestreamer()` does. */
  readonly takesReply?: boolean | undefined
  /** It takes bodies that a parser before it has read. */
  readonly takesParsedBody?: boolean | undefined
  /** It bounds handlers that send requests themselves, which no route leads to. */
  readonly metersHandlers?: boolean | undefined
}

/** On the handler itself, so that a second copy of this package reads it too. */
const FACTS = 'tollwayFacts'

/** Notes facts about a handler; returns the handler. */
export function withFacts<T extends object>(handler: T, facts: PartFacts): T {
  return Object.defineProperty(handler, FACTS, {
    configurable: true,
    enumerable: false,
    value: { ...factsOf(handler), ...facts },
  })
}

/** The facts about a handler; none for a stranger's. */
export function factsOf(handler: unknown): PartFacts {
  return property(handler, FACTS) ?? {}
}

/**
 * Says that a handler of your own takes the answer: mounted behind `paymentInterceptor()`, it sends
 * `exchangeOf(req).relay.reply` to the client. Without such a handler, or `sseRestreamer()`, nothing is paid.
 */
export function takesReply<T extends (...args: never[]) => unknown>(handler: T): T {
  return withFacts(ofThisCopy(handler), { takesReply: true })
}
