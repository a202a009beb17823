/** The JSON API of the spend page, also usable by other programs; docs/dashboard.md is its reference. */
import { pipeline } from 'node:stream/promises'
import type { ServerResponse } from 'node:http'
import type { BudgetRule } from '../../core/budget/budget.ts'
import type { Clock } from '../../core/clock.ts'
import { TollwayError } from '../../core/errors.ts'
import type { LedgerUse } from '../../io/ledger/ledger-use.ts'
import type { Request } from '../../../middleware/http/handler.ts'
import { budgetsJson } from '../report/budget-json.ts'
import { approvalJson } from '../approvals/approval-json.ts'
import type { Approvals } from '../approvals/approvals.ts'
import { auditTrail } from './audit-trail.ts'
import { chargeJson } from './charge-json.ts'
import type { EventStreams } from './event-stream.ts'
import type { ExplorerLink } from './explorers.ts'
import type { Refusals } from './refusals.ts'
import { chargesCsv, chargesJsonFile } from './export.ts'
import { fundsJson, type FundsSource } from './funds.ts'
import { auditQuery, cursorAfter, exportQuery, listQuery, noQuery, spendQuery } from './query.ts'
import { spendOverTime } from './spend-series.ts'
import { SpendTurns } from './spend-turns.ts'
import { CHARGE_STATES, REFUSAL_STATES } from './states.ts'

/** The values that filters may have. */
export interface Facets {
  readonly routes: readonly string[]
  readonly payers: readonly string[]
  /** Origins. */
  readonly sellers: readonly string[]
  readonly callers: readonly string[]
  /** Names of tags that spending can be grouped by. */
  readonly tags: readonly string[]
}

/** The sources of the data. */
export interface ApiOptions {
  readonly ledger: LedgerUse<'budgets' | 'instance', 'charge' | 'charges' | 'spend'>
  /** Those in force now. */
  readonly budgets: () => readonly BudgetRule[]
  readonly clock: Clock
  readonly link: ExplorerLink
  /** Those of the configuration in force. */
  readonly facets: () => Facets
  /** The audit file. */
  readonly auditPath: string
  /** Without it the page explains what it would show. */
  readonly funds: FundsSource | undefined
  readonly refusals: Pick<Refusals, 'list' | 'since' | 'total'>
  readonly approvals: Pick<Approvals, 'list' | 'decide'>
  readonly streams: EventStreams
  /** Whether there is a session that can be ended. */
  readonly hasKey: boolean
}

/** Handles one path: returns a value to send as JSON, or writes the response itself. */
type Answer = (req: Request, res: ServerResponse, url: string) => Promise<object | undefined>

/** The handlers of `/api`, by path. */
export function apiPaths(options: ApiOptions): ReadonlyMap<string, Answer> {
  const { ledger, budgets, clock, link, facets, auditPath, funds, streams, hasKey, refusals } = options
  const { store } = ledger
  const turns = new SpendTurns({ store })
  return new Map<string, Answer>([
    [
      '/api/budgets',
      async () => {
        const rules = budgets()
        const statuses = await ledger.budgets(rules)
        return {
          time: new Date(clock.now()).toISOString(),
          budgets: budgetsJson(rules, statuses, clock.now()),
        }
      },
    ],
    [
      '/api/charges',
      async (_req, _res, url) => {
        const { filter, limit, before } = listQuery(url)
        const charges = await store.charges({ ...filter, before, limit })
        const last = charges.length < limit ? undefined : charges.at(-1)
        return {
          charges: charges.map((charge) => chargeJson(charge, link)),
          next: last ? cursorAfter(last) : null,
        }
      },
    ],
    [
      '/api/charges/export',
      async (req, res, url) => {
        const { filter, format } = exportQuery(url)
        const source = { store, filter, link }
        const type = format === 'csv' ? 'text/csv; charset=utf-8; header=present' : 'application/json'
        const day = new Date(clock.now()).toISOString().slice(0, 10)
        res.setHeader('content-type', type)
        res.setHeader('content-disposition', `attachment; filename="tollway-charges-${day}.${format}"`)
        if (req.method === 'HEAD') res.end()
        else await pipeline(format === 'csv' ? chargesCsv(source) : chargesJsonFile(source), res)
        return undefined
      },
    ],
    [
      '/api/spend',
      async (_req, _res, url) => {
        const query = spendQuery(url)
        return await turns.take(url, () => spendOverTime(turns, query, clock.now()))
      },
    ],
    [
      '/api/audit',
      async (_req, _res, url) => {
        const id = auditQuery(url)
        const charge = await store.charge(id)
        if (!charge) {
          throw new TollwayError({ code: 'not_found', message: 'There is no such charge in the ledger.' })
        }
        return { charge: chargeJson(charge, link), records: await auditTrail(auditPath, id) }
      },
    ],
    [
      '/api/refusals',
      async (_req, _res, url) => {
        noQuery(url)
        return { since: refusals.since, total: refusals.total, refusals: refusals.list() }
      },
    ],
    ['/api/approvals', async () => ({ approvals: options.approvals.list().map(approvalJson) })],
    ['/api/funds', async () => fundsJson(await funds?.())],
    [
      '/api/facets',
      async () => ({ states: [...CHARGE_STATES, ...REFUSAL_STATES], ...facets(), sign_out: hasKey }),
    ],
    [
      '/api/events',
      async (req, res) => {
        if (req.method === 'HEAD') res.setHeader('content-type', 'text/event-stream').end()
        else streams.serve(req, res)
        return undefined
      },
    ],
  ])
}
