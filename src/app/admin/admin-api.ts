/** What an operator reads and changes over HTTP while the gateway runs: docs/admin.md is its reference. */
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { plainPath } from '../../core/request/endpoints.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { asyncHandler, type Handler } from '../../../middleware/http/handler.ts'
import { sendJson } from '../../../middleware/http/send-json.ts'
import type { ReloadFrom } from '../reload/reloader.ts'
import { adminPaths, type AdminContext, type AdminPaths } from './admin-paths.ts'
import { assertAdmin, type AdminRules } from './assert-admin.ts'

/** Options of {@link adminApi}. */
export interface AdminApiOptions extends AdminContext, AdminRules {
  /** Without it the gateway does not know where its configuration came from. */
  readonly reload: ReloadFrom | undefined
  /** Reads the files of voucher pools again too. @returns what x402-buyer answers */
  readonly reloadPools: () => string
  /** {@link AdminRules.isOpen}, for reading the configuration again alone. */
  readonly isReloadOpen?: boolean | undefined
}

/** Serves the paths below `/admin` that work on any gateway. */
export function adminApi({
  reload,
  reloadPools,
  adminKey,
  asksForKeys,
  isReloadOpen = false,
  ...context
}: AdminApiOptions): Handler {
  const paths: AdminPaths = { ...adminPaths(context), ...(reload && reloadPath(reload, reloadPools)) }
  return asyncHandler('adminApi', async (req, res, next) => {
    const path = plainPath(req.url ?? '')
    const found = path === undefined ? undefined : find(paths, path)
    if (!found) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = found.path
    await assertAdmin(req, {
      adminKey,
      asksForKeys,
      isOpen: isReloadOpen && found.path === '/admin/reload',
    })
    const action = found.actions[req.method ?? '']
    if (!action) throw wrongMethod(found.path, Object.keys(found.actions))
    const answer = await action(req, found.name).catch(refused)
    sendJson(res, exchange, 200, answer)
  })
}

function reloadPath(reload: ReloadFrom, reloadPools: () => string): AdminPaths {
  return {
    '/admin/reload': {
      async POST() {
        const { changed, hash, previousHash } = await reload()
        return { status: reloadPools(), changed, hash, previous_hash: previousHash }
      },
    },
  }
}

function find(paths: AdminPaths, path: string) {
  const exact = paths[path]
  if (exact) return { path, name: '', actions: exact }
  const parent = path.slice(0, path.lastIndexOf('/') + 1)
  const actions = paths[parent]
  const name = decoded(path.slice(parent.length))
  return actions && name !== '' ? { path: `${parent}{id}`, name, actions } : undefined
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

function wrongMethod(path: string, methods: readonly string[]): TollwayError {
  return new TollwayError({
    code: 'method_not_allowed',
    message: `${path} serves ${methods.join(', ')} only. Nothing was changed.`,
    headers: { allow: methods.join(', ') },
  })
}

/** A mistake is told in the words of the command line. @throws TollwayError */
function refused(error: unknown): never {
  if (!(error instanceof ConfigError)) throw error
  throw new TollwayError({
    code: 'config_invalid',
    message: `Nothing was changed:\n${error.message}`,
    cause: error,
  })
}
