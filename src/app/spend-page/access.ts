/** Access control of the spend page and its data. */
import { TollwayError } from '../../core/errors.ts'
import type { Request } from '../../../middleware/http/handler.ts'
import type { AdminKey } from '../admin/admin-key.ts'
import { isLocal } from '../admin/is-local.ts'
import { SESSION_MS, type Sessions } from './sessions.ts'

/** Name of the session's cookie. */
const COOKIE = 'tollway_session'

/** Dependencies of {@link Access}. */
export interface AccessOptions {
  /** Without a key only this machine has access. */
  readonly adminKey: AdminKey
  readonly sessions: Sessions
}

/** Access control of the spend page. One per gateway. */
export class Access {
  readonly #adminKey: AdminKey
  readonly #sessions: Sessions

  constructor({ adminKey, sessions }: AccessOptions) {
    this.#adminKey = adminKey
    this.#sessions = sessions
  }

  /** Whether a key is configured. */
  get hasKey(): boolean {
    return this.#adminKey.isSet
  }

  /**
   * Admits a request with a session, with a key in `Authorization`, or from this machine if no key is configured.
   * @throws TollwayError `invalid_api_key`, `too_many_attempts`
   */
  async check(req: Request): Promise<void> {
    if (!this.hasKey) {
      if (!isLocal(req)) throw refusal(false)
      return
    }
    const token = tokenOf(req)
    if (token !== undefined && this.#sessions.has(token)) return
    const key = authorizationKey(req)
    if (key === undefined) throw refusal(true)
    await this.#adminKey.compare(req, key, () => refusal(true))
  }

  /**
   * Starts a session for a client that presents the key.
   * @returns the `set-cookie` headers
   * @throws TollwayError `invalid_api_key`, `too_many_attempts`
   */
  async signIn(req: Request, key: string): Promise<string[]> {
    await this.#adminKey.compare(req, key, () => refusal(true))
    return cookies(req, this.#sessions.begin(), SESSION_MS / 1000)
  }

  /** Ends the session of a request. @returns the `set-cookie` headers */
  signOut(req: Request): string[] {
    const token = tokenOf(req)
    if (token !== undefined) this.#sessions.end(token)
    return cookies(req, '', 0)
  }
}

/** The key as a bearer token, or as the password of Basic (`curl -u :key`). */
function authorizationKey(req: Request): string | undefined {
  const [scheme, value] = (req.headers.authorization ?? '').split(' ', 2)
  if (value === undefined) return undefined
  if (/^bearer$/i.test(scheme ?? '')) return value
  if (!/^basic$/i.test(scheme ?? '')) return undefined
  const text = Buffer.from(value, 'base64').toString('utf8')
  return text.slice(text.indexOf(':') + 1)
}

function tokenOf(req: Request): string | undefined {
  const pairs = (req.headers.cookie ?? '').split(';').map((pair) => pair.trim().split('=', 2))
  return pairs.find(([name]) => name === COOKIE)?.[1]
}

/** Never sent to another site or path, nor over plain HTTP if the proxy has TLS; never readable by scripts. */
function cookies(req: Request, value: string, seconds: number): string[] {
  const secure = req.headers['x-forwarded-proto'] === 'https' ? '; Secure' : ''
  return ['/dashboard', '/api'].map(
    (path) => `${COOKIE}=${value}; Path=${path}; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`,
  )
}

function refusal(hasKey: boolean): TollwayError {
  return new TollwayError({
    code: 'invalid_api_key',
    message: 'The spend page needs the admin key.',
    advice: hasKey
      ? ['Sign in at /dashboard, or send it as a bearer token.']
      : [
          'Set admin.key, such as admin: { key: "${env:TOLLWAY_ADMIN_KEY}" }: requests that come over a proxy or from another machine are not served without one.',
        ],
    headers: hasKey ? { 'www-authenticate': 'Bearer realm="Tollway"' } : {},
  })
}
