/** What an operator changes over HTTP while the gateway runs: docs/admin.md is its reference. */
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { plainPath } from '../../core/request/endpoints.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { asyncHandler, type Handler } from '../../../middleware/http/handler.ts'
import { sendJson } from '../../../middleware/http/send-json.ts'
import type { ReloadFrom } from '../reload/reloader.ts'
import { assertAdmin, type AdminRules } from './assert-admin.ts'

/** Options of {@link adminApi}. */
export interface AdminApiOptions extends AdminRules {
  /** Without it the gateway does not know where its configuration came from. */
  readonly reload: ReloadFrom | undefined
  /** Reads the files of voucher pools again too. @returns what x402-buyer answers */
  readonly reloadPools: () => string
}

/** Serves the paths below `/admin` that work on any gateway. */
export function adminApi({ reload, reloadPools, ...rules }: AdminApiOptions): Handler {
  return asyncHandler('adminApi', async (req, res, next) => {
    const path = plainPath(req.url ?? '')
    if (path !== '/admin/reload' || req.method !== 'POST' || !reload) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = path
    await assertAdmin(req, rules)
    const { changed, hash, previousHash } = await reload().catch(refused)
    sendJson(res, exchange, 200, {
      status: reloadPools(),
      changed,
      hash,
      previous_hash: previousHash,
    })
  })
}

/** A mistake in the configuration is told in the words of `tollway check`. @throws TollwayError */
function refused(error: unknown): never {
  if (!(error instanceof ConfigError)) throw error
  throw new TollwayError({
    code: 'config_invalid',
    message: `Nothing was changed, because the configuration has mistakes:\n${error.message}`,
    cause: error,
  })
}
