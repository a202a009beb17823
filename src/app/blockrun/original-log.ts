/**
 * `BLOCKRUN_AUDIT_LOG` in the form of blockrun-openclaw-proxy, for its inspector and whatever else reads it. Tollway's own audit file
 * stands beside it and is the one that counts: what cannot be written here stops nothing.
 */
import { appendFile } from 'node:fs/promises'
import type { Charge } from '../../core/charge/charge.ts'
import { findNetwork } from '../../core/money/assets.ts'
import { formatUsd } from '../../core/money/money.ts'
import type { Observer, RequestSummary } from '../../core/telemetry/events.ts'

/** Options of {@link originalLog}. */
export interface OriginalLogOptions {
  readonly path: string
  readonly dryRun: boolean
  /** A decimal string, USD. */
  readonly dailyBudgetUsd: string
  /** What of the daily budget is taken now, micro-USD. */
  readonly spentToday: () => Promise<bigint>
  /** Called with the reason when a line cannot be written. */
  readonly onFailure: (reason: unknown) => void
}

/** The log. */
export interface OriginalLog {
  readonly observe: Observer
  /** Waits for what is being written. */
  close(): Promise<void>
}

/** Requests whose charge is remembered until they end; more than run at once. */
const MAX_REMEMBERED = 1000

/** Writes a line for each chat completion, refusal by the budget and failure of the seller. */
export function originalLog(options: OriginalLogOptions): OriginalLog {
  const charges = new Map<string, Charge>()
  let writing = Promise.resolve()
  const write = async (at: string, summary: RequestSummary, charge: Charge | undefined): Promise<void> => {
    const spent = usd(await options.spentToday())
    const line = lineOf(summary, charge, spent, options)
    if (line) await appendFile(options.path, `${JSON.stringify({ ts: at, ...line })}\n`, { mode: 0o600 })
  }
  return {
    observe(event) {
      if (event.type === 'charge') {
        if (charges.size >= MAX_REMEMBERED) charges.clear()
        charges.set(event.charge.requestId, event.charge)
      }
      if (event.type !== 'request' || event.summary.endpoint !== '/chat/completions') return
      const { summary } = event
      const charge = charges.get(summary.requestId)
      charges.delete(summary.requestId)
      const at = new Date().toISOString()
      writing = writing.then(() => write(at, summary, charge)).catch(options.onFailure)
    },
    close: () => writing,
  }
}

/** The seed's own fields; its amounts are JSON numbers. `undefined` for what it does not log: mistakes of a client. */
function lineOf(
  summary: RequestSummary,
  charge: Charge | undefined,
  spentTodayUsd: number,
  { dryRun, dailyBudgetUsd }: OriginalLogOptions,
): Readonly<Record<string, unknown>> | undefined {
  const { model, status, code, details } = summary
  const durationMs = Math.round(summary.seconds * 1000)
  if (code === 'budget_exhausted') {
    return {
      event: 'budget_reject',
      model,
      spentToday: spentTodayUsd,
      spentTodayUsd,
      dailyBudgetUsd: Number(dailyBudgetUsd),
      estimatedCost: Number(details['wanted_usd'] ?? 0),
    }
  }
  if (status >= 400) {
    if (summary.route === 'none') return undefined
    const said = details['seller_message']
    return {
      event: 'upstream_error',
      model,
      durationMs,
      error: typeof said === 'string' ? said : (code ?? `status ${status}`),
      bookedCostUsd: usd(summary.costMicroUsd ?? 0n),
      spentTodayUsd,
    }
  }
  const cost = usd(summary.costMicroUsd ?? 0n)
  const network = charge?.network
  return {
    event: 'chat_completion',
    model,
    dryRun,
    streamed: summary.stream,
    durationMs,
    actualCostUsd: cost,
    bookedCostUsd: cost,
    paymentNetwork: network === undefined ? null : (findNetwork(network)?.alias ?? network),
    receiptRef: charge?.transaction ?? null,
    spentTodayUsd,
  }
}

/** For display, as in that proxy; the ledger holds exact amounts. */
function usd(microUsd: bigint): number {
  return Number(formatUsd(microUsd))
}
