/** Which hooks of the application are called for a request: those of every middleware that it passed, each set once. */
import type { ServerResponse } from 'node:http'
import { HookRunner, type HookContext } from '../../../src/core/hooks/hook-runner.ts'
import { sameHooks, type Hooks } from '../../../src/core/hooks/hooks.ts'
import type { Exchange } from '../../../src/core/request/exchange.ts'
import { systemTimers } from '../../../src/core/timers.ts'
import type { Ledger } from '../../../src/io/ledger/ledger.ts'
import type { BeforeSign } from '../../../src/payment/payment-context.ts'
import { whenRequestEnds } from '../request-summary.ts'
import { stderrLog } from '../stderr-log.ts'
import type { Request } from '../handler.ts'
import { sharedContext } from './shared-context.ts'

/** Ledgers, and the hooks that are told of their charges. */
const WATCHED = new WeakMap<Ledger, readonly Hooks[]>()

/** The hooks that a middleware was given; `undefined` for none. */
export function runnerOf(
  hooks: Hooks | undefined,
  { clock, timers = systemTimers, observers = [] }: Pick<HookContext, 'clock'> & Partial<HookContext>,
): HookRunner | undefined {
  return hooks && new HookRunner(hooks, { clock, timers, observers, log: stderrLog })
}

/** Adds the hooks of a middleware to a request, unless one before it had the same. */
export function joinHooks(
  runner: HookRunner | undefined,
  {
    req,
    res,
    exchange,
  }: { readonly req: Request; readonly res: ServerResponse; readonly exchange: Exchange },
  now: () => number,
): void {
  if (!runner) return
  const shared = sharedContext(exchange)
  runner.tell(shared.observers)
  if (shared.hooks.some(({ hooks }) => sameHooks(hooks, runner.hooks))) return
  shared.hooks = [...shared.hooks, runner]
  if (runner.isFed) return
  whenRequestEnds(req, res, exchange, now, (summary) => runner.requests({ type: 'request', summary }))
}

/** Tells the hooks of a request what becomes of the charges of a ledger, once for each. */
export function watchCharges(ledger: Ledger, exchange: Exchange): void {
  for (const runner of sharedContext(exchange).hooks) {
    const known = WATCHED.get(ledger) ?? []
    if (runner.isFed || known.some((hooks) => sameHooks(hooks, runner.hooks))) continue
    WATCHED.set(ledger, [...known, runner.hooks])
    ledger.watch(runner.charges)
  }
}

/** Records that a new ledger already reports to these hooks. */
export function markWatched(ledger: Ledger, runners: readonly HookRunner[]): void {
  WATCHED.set(
    ledger,
    runners.map(({ hooks }) => hooks),
  )
}

/** What asks every `beforeSign` of a request, one after the other; `undefined` when there is none. */
export function beforeSignOf(exchange: Exchange): BeforeSign | undefined {
  const asking = sharedContext(exchange).hooks.filter(({ hooks }) => hooks.beforeSign !== undefined)
  if (asking.length === 0) return undefined
  return async (payment, signal) => {
    for (const runner of asking) await runner.beforeSign(payment, signal)
  }
}
