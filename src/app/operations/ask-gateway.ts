/** Asks the running gateway of a configuration, at its own address and with its admin key. */
import { dirname, resolve } from 'node:path'
import { ConfigError, TollwayError, type ErrorCode } from '../../core/errors.ts'
import { ERROR_TABLE } from '../../core/error-table.ts'
import { property } from '../../core/property.ts'
import type { LoadedConfig } from '../config/load.ts'
import { resolveText, type Environment } from '../config/values/secrets.ts'

/** Longest wait for the answer, milliseconds. */
const TIMEOUT_MS = 30_000

/** A gateway that runs with a configuration. */
export interface RunningGateway {
  /** `http://127.0.0.1:8402` */
  readonly url: string
  readonly adminKey: string | undefined
}

/** One request below `/admin`. */
export interface AdminRequest {
  readonly method: 'GET' | 'POST' | 'DELETE' | 'PATCH'
  /** With its query. */
  readonly path: string
  readonly body?: object | undefined
}

/**
 * Finds the gateway of a configuration file.
 * @param url another address than the one it listens on
 * @throws ConfigError for an admin key that cannot be read, or an address that is none
 */
export function gatewayOf(
  file: string,
  { config, written }: LoadedConfig,
  env: Environment,
  url?: string,
): RunningGateway {
  const { host, port } = config.listen
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const name = everywhere[host] ?? host
  const key = written(['admin', 'key'])
  const directory = dirname(resolve(file))
  const adminKey = typeof key === 'string' ? resolveText(key, { env, directory }) : undefined
  if (adminKey && 'fault' in adminKey) throw new ConfigError(`admin.key ${adminKey.fault}`)
  if (url !== undefined && !/^https?:\/\//.test(url)) {
    throw new ConfigError(`--url ${url} is not an address. Write it as http://127.0.0.1:8402.`)
  }
  return {
    url: (url ?? `http://${name.includes(':') ? `[${name}]` : name}:${port}`).replace(/\/+$/, ''),
    adminKey: adminKey?.text,
  }
}

/**
 * Sends one request.
 * @returns the JSON of the answer
 * @throws TollwayError with the gateway's own code and message; Error when no gateway answers
 */
export async function askGateway({ url, adminKey }: RunningGateway, request: AdminRequest): Promise<unknown> {
  const { method, path, body } = request
  let answer: Response
  try {
    answer = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(adminKey === undefined ? {} : { authorization: `Bearer ${adminKey}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
  } catch (cause) {
    throw new GatewayNotReached(url, cause)
  }
  const text = await answer.text()
  const value = parsed(text)
  if (answer.ok) return value
  const error = property(value, 'error')
  const code = property(error, 'code')
  const message = property(error, 'message')
  if (isCode(code) && typeof message === 'string') throw new TollwayError({ code, message })
  throw new GatewayNotReached(url, `it answered ${answer.status}, not as a gateway does`)
}

/** No gateway answered: nothing was changed. */
class GatewayNotReached extends ConfigError {
  constructor(url: string, cause: unknown) {
    const why = typeof cause === 'string' ? ` (${cause})` : ''
    super(
      `No gateway answers at ${url}${why}. Start it with tollway serve, or give its address with --url.`,
      {
        cause,
      },
    )
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_TABLE, code)
}
