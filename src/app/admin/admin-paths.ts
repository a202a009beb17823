/** What each path of `/admin` does; the same as the commands of the same name do, on the ledger and the audit file of the gateway. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { BudgetRule } from '../../core/budget/budget.ts'
import type { AuditSink } from '../../io/audit/audit-queue.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import { approvalJson, endedJson } from '../approvals/approval-json.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { addKey, changeKey, listKeys, revokeKey, type KeyTerms } from '../operations/caller-keys.ts'
import type { OpenBooks } from '../operations/command-audit.ts'
import { keyJson } from '../operations/key-json.ts'
import { sellersJson } from '../operations/seller-json.ts'
import { forgetSeller, knownSellers, trustSeller } from '../operations/seller-pins.ts'
import { budgetsJson } from '../report/budget-json.ts'
import type { Request } from '../../../middleware/http/handler.ts'
import {
  DECISION_BODY,
  FORGET_BODY,
  KEY_BODY,
  KEY_CHANGE_BODY,
  readAdminBody,
  TRUST_BODY,
} from './admin-body.ts'

/** How many of the calls that waited are listed after their end. */
const SHOWN_ENDS = 20

/** What the paths work on. */
export interface AdminContext {
  /** The configuration in force. */
  readonly config: ResolvedConfig
  /** Those in force, with those of keys. */
  readonly budgets: () => readonly BudgetRule[]
  readonly ledger: Ledger
  readonly audit: Pick<AuditSink, 'append'>
  readonly approvals: Pick<Approvals, 'list' | 'ended' | 'decide'>
  readonly clock: Clock
}

/** Serves one method of one path. @param name what follows the path, decoded */
export type AdminAction = (req: Request, name: string) => Promise<object>

/** By path, then by method; a path that ends with `/` takes a name. */
export type AdminPaths = Readonly<Record<string, Readonly<Record<string, AdminAction>>>>

/** The paths for callers, budgets and pins. */
export function adminPaths(context: AdminContext): AdminPaths {
  const { config, budgets, ledger, audit, approvals, clock } = context
  const { store } = ledger
  const books: OpenBooks = async (use) => await use(store, audit)
  const recording = async (use: (sink: AdminContext['audit']) => Promise<void>): Promise<void> =>
    await use(audit)
  return {
    '/admin/keys': {
      GET: async () => ({ keys: listKeys(config).map(keyJson) }),
      async POST(req) {
        const { id, ...body } = await readAdminBody(req, KEY_BODY)
        const { entry, key } = await addKey(config, { id, ...termsOf(body) }, clock, randomBytes, recording)
        return { ...keyJson(entry), key }
      },
    },
    '/admin/keys/': {
      async PATCH(req, id) {
        const body = await readAdminBody(req, KEY_CHANGE_BODY)
        const removed = Object.entries(body).flatMap(([term, value]) => (value === null ? [term] : []))
        return keyJson(await changeKey(config, { id, ...termsOf(body) }, removed, clock, recording))
      },
      async DELETE(_req, id) {
        await revokeKey(config, id, clock, recording)
        return { id, revoked: true }
      },
    },
    '/admin/budgets': {
      async GET() {
        const now = clock.now()
        const rules = budgets()
        const statuses = await ledger.budgets(rules)
        return { time: new Date(now).toISOString(), budgets: budgetsJson(rules, statuses, now) }
      },
    },
    '/admin/approvals': {
      GET: async () => ({
        approvals: approvals.list().map(approvalJson),
        ended: (await approvals.ended(SHOWN_ENDS)).map(endedJson),
      }),
    },
    '/admin/approvals/': {
      async POST(req, id) {
        const { decision } = await readAdminBody(req, DECISION_BODY)
        return { ...approvalJson(await approvals.decide(id, decision)), decision }
      },
    },
    '/admin/sellers': {
      GET: async () => sellersJson(await knownSellers(store), config),
    },
    '/admin/sellers/trust': {
      async POST(req) {
        const {
          api_base: apiBase,
          pay_to: payTo,
          any_payee: anyPayee,
          ...rest
        } = await readAdminBody(req, TRUST_BODY)
        const changed = await trustSeller(config, { apiBase, payTo, anyPayee, ...rest }, clock, books)
        return sellersJson(changed, config)
      },
    },
    '/admin/sellers/forget': {
      async POST(req) {
        const { api_base: apiBase } = await readAdminBody(req, FORGET_BODY)
        return { api_base: apiBase, ...(await forgetSeller(config, apiBase, clock, books)) }
      },
    },
  }
}

/** The terms of a body, in the operation's names. */
function termsOf(body: {
  readonly models?: readonly string[] | undefined
  readonly expires?: number | null | undefined
  readonly requests_per_minute?: number | null | undefined
  readonly tokens_per_minute?: number | null | undefined
  readonly max_parallel_requests?: number | null | undefined
  readonly team?: string | null | undefined
  readonly budget_usd?: readonly string[] | null | undefined
}): KeyTerms {
  return {
    models: body.models,
    expires: body.expires ?? undefined,
    requestsPerMinute: body.requests_per_minute ?? undefined,
    tokensPerMinute: body.tokens_per_minute ?? undefined,
    maxParallel: body.max_parallel_requests ?? undefined,
    team: body.team ?? undefined,
    budgetUsd: body.budget_usd ?? undefined,
  }
}
