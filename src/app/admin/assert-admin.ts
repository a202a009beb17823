/** Who may use `/admin`. */
import { TollwayError } from '../../core/errors.ts'
import type { Request } from '../../../middleware/http/handler.ts'
import type { AdminKey } from './admin-key.ts'
import { isLocal } from './is-local.ts'

const SET_IT = 'Set admin.key, such as admin: { key: "${env:TOLLWAY_ADMIN_KEY}" }'

/** What decides. */
export interface AdminRules {
  /** Where none is set `/admin` is for programs of this machine only. */
  readonly adminKey: AdminKey
  /** Whether callers have keys: then `/admin` requires the admin key. */
  readonly asksForKeys: boolean
  /** Whether whoever started the gateway opened it to other machines without any key: its admin paths are open as well. */
  readonly isOpen?: boolean | undefined
}

/** @throws TollwayError `invalid_api_key`, `too_many_attempts` */
export async function assertAdmin(
  req: Request,
  { adminKey, asksForKeys, isOpen = false }: AdminRules,
): Promise<void> {
  if (adminKey.isSet) {
    const key = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1]
    if (key === undefined) throw refused('Send it as a bearer token.')
    await adminKey.compare(req, key, () => refused('Send it as a bearer token.'))
    return
  }
  if (asksForKeys) {
    throw refused(`${SET_IT}: when callers have keys, these paths need an admin key of their own.`)
  }
  if ((!isOpen && !isLocal(req)) || isFromBrowser(req)) {
    throw refused(`${SET_IT}: without one these paths are for programs of this machine, not over a proxy.`)
  }
}

/** A page can send a form to this machine; older browsers say neither where it is from nor whether it is another site's. */
function isFromBrowser({ headers }: Request): boolean {
  const tells = ['origin', 'referer', 'cookie', 'sec-fetch-site', 'upgrade-insecure-requests']
  return tells.some((name) => headers[name] !== undefined) || /^mozilla\//i.test(headers['user-agent'] ?? '')
}

function refused(advice: string): TollwayError {
  return new TollwayError({
    code: 'invalid_api_key',
    message: 'The admin paths need the admin key.',
    advice: [advice],
  })
}
