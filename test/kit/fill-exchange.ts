/** Fills in part of an exchange, as the middlewares before the one under test would. */
import type { Exchange } from '../../src/core/request/exchange.ts'

/** Some fields of an exchange, group by group. */
export type ExchangeFields = {
  readonly [Group in keyof Exchange]?: Exchange[Group] extends object
    ? Partial<Exchange[Group]>
    : Exchange[Group]
}

/** Sets these fields and leaves every other field of their groups alone. */
export function fillExchange(exchange: Exchange, fields: ExchangeFields): void {
  for (const [group, values] of Object.entries(fields)) {
    const held: unknown = Reflect.get(exchange, group)
    if (typeof held === 'object' && held !== null) Object.assign(held, values)
    else Reflect.set(exchange, group, values)
  }
}
