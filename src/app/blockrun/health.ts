/** `GET /health` and `/v1/health` in the shape of blockrun-openclaw-proxy. */
import { formatUsd } from '../../core/money/money.ts'
import type { Handler } from '../../../middleware/http/handler.ts'
import type { BlockrunSettings } from './settings.ts'

/**
 * Amounts are JSON numbers, as clients of that proxy expect. They are for display; the ledger holds exact amounts.
 * @param spentToday what of the daily budget is taken now, micro-USD
 */
export function blockrunHealth(settings: BlockrunSettings, spentToday: () => Promise<bigint>): Handler {
  return (req, res, next) => {
    const path = (req.url ?? '').split('?')[0]
    if (req.method !== 'GET' || (path !== '/health' && path !== '/v1/health')) return next()
    spentToday()
      .then((taken) => {
        const body = {
          ok: true,
          dry_run: settings.dryRun,
          blockrun_url: settings.chatUrl,
          models: settings.models,
          spent_today_usd: Number(formatUsd(taken)),
          daily_budget_usd: Number(settings.dailyBudgetUsd),
          max_usd_per_request: Number(settings.maxUsdPerRequest),
        }
        res.setHeader('content-type', 'application/json')
        return res.end(JSON.stringify(body))
      })
      .catch(next)
  }
}
