/** Forwards a closed list of other paths to the default upstream, byte for byte. Nothing here is ever paid for. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { z } from 'zod'
import { TollwayError } from '../src/core/errors.ts'
import { providerOf } from '../src/core/telemetry/gen-ai.ts'
import { systemTimers, type Timers } from '../src/core/timers.ts'
import { setResponseHeaders } from './http/response-headers.ts'
import { mayUse } from '../src/core/request/exchange.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { named, type Handler, type Request } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { otherMethod } from './http/other-method.ts'
import { isRootPath, passRules, type PathRule } from '../src/core/request/forwarded-paths.ts'
import { endpointOf, findPath, plainPaths } from './http/paths.ts'
import { endAfterUpload, hasRest, isSmallRest } from './http/end-of-upload.ts'
import { patientAgent } from './pass-through/patient-agent.ts'
import { pathAdvice } from './http/path-advice.ts'
import { cleanRequest, cleanResponse } from './pass-through/pass-headers.ts'
import { property } from '../src/core/property.ts'
import { refuseUpgrade } from './pass-through/refuse-upgrade.ts'

/** A path that is forwarded, without `/v1`, and where it is at the upstream. */
interface Found {
  readonly path: string
  readonly target: string
}

/** Options of {@link passThrough}. */
export interface PassThroughOptions {
  /** Without one every path is answered 404. */
  readonly upstream?:
    | {
        /** E.g. `http://127.0.0.1:4000/v1`; `/v1/files` becomes `{apiBase}/files`. */
        readonly apiBase: string
        /** Sent as `Authorization: Bearer`, in place of everything the client sent. */
        readonly apiKey?: string | undefined
        /** Its name in metrics and traces; default its host. */
        readonly provider?: string | undefined
      }
    | undefined
  /** More paths, exact or ending in `/*`, e.g. `/assistants/*`. */
  readonly allowPaths?: readonly string[] | undefined
  /**
   * Drops the client's credentials even without an `apiKey`. Set it when callers are configured, because their
   * keys are meant for this gateway. Default false: the client's own `Authorization` reaches the upstream.
   */
  readonly stripCredentials?: boolean | undefined
  /** What happens to every other path: `refuse` (default) answers 404 or 405, `next` leaves it to the handlers behind. */
  readonly unlisted?: 'refuse' | 'next' | undefined
  readonly timeouts?:
    | {
        /** How long the upstream may stay silent; for a websocket, until it is open. Default 300. */
        readonly idleSeconds?: number | undefined
      }
    | undefined
  /** Times the wait for an upstream's answer to a websocket request. */
  readonly timers?: Timers | undefined
}

/** The middleware, its handler for websockets, and its end. */
export interface PassThrough extends Handler {
  /** Why a websocket request is not served, or `undefined` when it is. */
  refuses(req: Request): TollwayError | undefined
  /** For `server.on('upgrade', …)`; see `upgradeHandler()`, which runs the origin guard and the caller check first. */
  upgrade(req: Request, socket: Duplex, head: Buffer): void
  /** Closes the kept-alive connections. */
  close(): void
}

/** What a path is refused with that is not on the list. */
const UNLISTED: ReadonlySet<string> = new Set(['not_found', 'method_not_allowed'])

const SCHEMA = z.strictObject({
  upstream: z
    .strictObject({
      apiBase: z.url({
        protocol: /^https?$/,
        error: 'write an http or https URL, e.g. "http://127.0.0.1:4000/v1"',
      }),
      apiKey: z.string().min(1, 'leave it out, or give the key').optional(),
      provider: z.string().min(1, 'leave it out, or name the provider').optional(),
    })
    .optional(),
  allowPaths: z.array(z.string()).default([]),
  stripCredentials: z.boolean().default(false),
  unlisted: z.enum(['refuse', 'next'], 'use "refuse" or "next"').default('refuse'),
  timeouts: z.strictObject({ idleSeconds: z.number().positive().max(86_400).default(300) }).prefault({}),
  timers: z
    .custom<Timers>((value) => typeof property(value, 'after') === 'function', 'give { after(ms, work) }')
    .default(systemTimers),
})

/**
 * Forwards files, batches, uploads, vector stores, stored responses, fine-tuning, videos, conversations, realtime
 * (websockets and its calls) and LiteLLM's own `/model/info`, `/key/info` and `/mcp` to the upstream; every other path is answered 404 `not_found`, or left to
 * the next handler, and never forwarded. With `apiKey`, or with callers,
 * only a caller whose models include `*` may use it: these paths can reach everything that the upstream's key can.
 * Mount it after `readBody()`, which does not read these paths.
 * @throws ConfigError for a mistake in the options
 */
export function passThrough(options: PassThroughOptions = {}): PassThrough {
  const { upstream, allowPaths, stripCredentials, unlisted, timeouts, timers } = parseOptions(
    'passThrough',
    SCHEMA,
    options,
  )
  const rules = passRules(allowPaths)
  // A path that is not on the list belongs to the next handler, where there is one.
  const refusal = (error: TollwayError): TollwayError | undefined =>
    unlisted === 'next' && UNLISTED.has(error.code) ? undefined : error
  if (!upstream) return withoutUpstream(refusal)
  const base = new URL(upstream.apiBase)
  const provider = providerOf(upstream)
  const prefix = base.pathname.replace(/\/+$/, '')
  const agentOptions = { keepAlive: true, maxSockets: 256, maxFreeSockets: 64 }
  const agent = patientAgent(base.protocol, agentOptions, timers)
  const ownCredentials = upstream.apiKey !== undefined || stripCredentials
  const waiting = new WeakMap<IncomingMessage, (error: unknown) => void>()
  const answers = new WeakMap<IncomingMessage, IncomingMessage>()

  const proxy = createProxyMiddleware<Request>({
    target: base.origin,
    changeOrigin: true,
    agent,
    proxyTimeout: timeouts.idleSeconds * 1000,
    // The default plugins answer errors with the upstream's host and path. Without any, an error event would end the
    // process, so this one listener takes them all; it must not throw.
    ejectPlugins: true,
    plugins: [
      (server) => {
        server.on('error', (error, req, answer) => {
          // What comes after the whole answer, such as a write to a connection that the upstream closed, is no error.
          if (req && answers.get(req)?.complete === true) return
          const fail = req && waiting.get(req)
          if (fail) fail(error)
          else answer?.destroy()
        })
        server.on('proxyReq', (proxyReq) => boundAnswer(proxyReq, timeouts.idleSeconds * 1000, timers))
        server.on('proxyReqWs', (proxyReq, req) => {
          boundUpgrade(proxyReq, timeouts.idleSeconds * 1000, timers)
          // Once the upstream has answered, an error of ours would end up in the middle of its bytes.
          for (const event of ['upgrade', 'response']) proxyReq.once(event, () => waiting.delete(req))
        })
        server.on('proxyRes', (proxyRes, req, res) => {
          answers.set(req, proxyRes)
          cleanResponse(proxyRes, exchangeOf(req), ownCredentials)
          const isCut = hasRest(req) && !isSmallRest(req)
          if (!res.shouldKeepAlive || isCut) proxyRes.headers.connection = 'close'
          endAfterUpload(req, res)
        })
      },
    ],
  })

  const prepare = (req: Request, { target }: Found): void => {
    const { url = '' } = req
    const question = url.indexOf('?')
    const hash = url.indexOf('#')
    const search = question < 0 ? '' : url.slice(question, hash > question ? hash : undefined)
    req.url = `${target}${search}`
    cleanRequest(req, ownCredentials, upstream.apiKey)
  }

  const root = prefix.replace(/\/v1$/, '')
  const find = (req: Request, rule: PathRule): Found | TollwayError => {
    const method = req.method ?? ''
    const own = rule === rules.web ? plainPaths(req).find((at) => isRootPath(method, at)) : undefined
    const path = own ?? findPath(req, (at) => rule(method, at))
    if (path === undefined) {
      return rule === rules.socket ? noWebSocket(req) : (otherMethod(req) ?? notServed(req))
    }
    const exchange = exchangeOf(req)
    exchange.endpoint = path.split('/').slice(0, 2).join('/')
    exchange.routing.route = 'upstream'
    exchange.routing.provider = provider
    if (ownCredentials && !mayReach(req, path)) return notAllowed()
    return { path, target: own === undefined ? `${prefix}${path}` : `${root}${path}` }
  }

  const findSocket = (req: Request): Found | TollwayError =>
    isWebSocketUpgrade(req) ? find(req, rules.socket) : noWebSocket(req)

  const handler = named<Handler>('passThrough', (req, res, next) => {
    const found = find(req, rules.web)
    if (found instanceof TollwayError) return next(refusal(found))
    setResponseHeaders(res, exchangeOf(req))
    const before = req.url ?? ''
    const fail = once((error?: unknown) => {
      req.url = before
      next(unavailable(error))
    })
    waiting.set(req, fail)
    res.once('close', () => waiting.delete(req))
    prepare(req, found)
    // A rejection would be unhandled in Express 4.
    proxy(req, res, fail).catch(fail)
  })

  return Object.assign(handler, {
    refuses(req: Request): TollwayError | undefined {
      const found = findSocket(req)
      return found instanceof TollwayError ? found : undefined
    },
    upgrade(req: Request, socket: Duplex, head: Buffer): void {
      const found = findSocket(req)
      const refuse = once((error) => refuseUpgrade(socket, unavailable(error), exchangeOf(req)))
      if (found instanceof TollwayError) return refuseUpgrade(socket, found, exchangeOf(req))
      waiting.set(req, refuse)
      prepare(req, found)
      // Node's servers always pass their own TCP or TLS sockets.
      if (socket instanceof Socket) proxy.upgrade(req, socket, head)
      else socket.destroy()
    },
    close(): void {
      agent.destroy()
    },
  })
}

/** Whether a request asks for a websocket; give it to `http.createServer({ shouldUpgradeCallback })`, so that other upgrades (h2c) are served as plain requests. */
export function isWebSocketUpgrade(req: IncomingMessage): boolean {
  return req.method === 'GET' && req.headers.upgrade?.toLowerCase() === 'websocket'
}

/**
 * A websocket names its model, so a caller's model list can be checked; the other paths are only for callers
 * without a list.
 */
function mayReach(req: Request, path: string): boolean {
  const exchange = exchangeOf(req)
  if (exchange.caller.allowedModels.includes('*')) return true
  const model = new URL(req.url ?? '', 'http://localhost').searchParams.getAll('model')
  return path === '/realtime' && model.length === 1 && mayUse(exchange, model[0] ?? '')
}

function withoutUpstream(refusal: (error: TollwayError) => TollwayError | undefined): PassThrough {
  const handler = named<Handler>('passThrough', (req, _res, next) =>
    next(refusal(otherMethod(req) ?? notServed(req))),
  )
  return Object.assign(handler, {
    refuses: noWebSocket,
    upgrade: (req: Request, socket: Duplex): void => refuseUpgrade(socket, noWebSocket(req), exchangeOf(req)),
    close: (): void => undefined,
  })
}

/** An upstream that accepts the connection and stays silent must not hold the client's socket forever. */
function boundUpgrade(proxyReq: ClientRequest, idleMs: number, timers: Timers): void {
  const cancel = timers.after(idleMs, () =>
    proxyReq.destroy(
      Object.assign(new Error('the upstream did not answer the upgrade'), { code: 'ETIMEDOUT' }),
    ),
  )
  for (const event of ['upgrade', 'close']) proxyReq.once(event, cancel)
}

/** The proxy's own limit is one of the socket, and every interim response (`102 Processing`) restarts it. */
function boundAnswer(proxyReq: ClientRequest, idleMs: number, timers: Timers): void {
  proxyReq.once('finish', () => {
    const cancel = timers.after(idleMs, () =>
      proxyReq.destroy(Object.assign(new Error('the upstream did not answer'), { code: 'ETIMEDOUT' })),
    )
    for (const event of ['response', 'close']) proxyReq.once(event, cancel)
  })
}

function once(report: (error: unknown) => void): (error?: unknown) => void {
  let called = false
  return (error) => {
    if (called) return
    called = true
    report(error)
  }
}

/** Clients that try a websocket first go on without one when they see 426. */
function noWebSocket(req: Request): TollwayError {
  const endpoint = endpointOf(req)
  return new TollwayError({
    code: 'websocket_not_served',
    message: 'This path is not served as a websocket.',
    advice: [
      endpoint === undefined
        ? 'Ask over HTTP; /v1/realtime is a websocket where the upstream has one.'
        : `Send a POST to ${endpoint.startsWith('/v2/') ? '' : '/v1'}${endpoint} instead, with "stream": true for a stream.`,
    ],
    headers: { upgrade: 'HTTP/1.1' },
  })
}

function notServed(req: Request): TollwayError {
  return new TollwayError({
    code: 'not_found',
    message: 'This path is not served here.',
    advice: [...pathAdvice(req), 'Check the base URL; the operator can add paths with upstream.allow_paths.'],
  })
}

function notAllowed(): TollwayError {
  return new TollwayError({
    code: 'not_found',
    message: 'This path is not served for this caller.',
    advice: ['It is open to callers whose models include "*".'],
  })
}

/** Names neither the host nor the system's message: those are for the log. */
function unavailable(cause: unknown): TollwayError {
  const code = property(cause, 'code')
  return new TollwayError({
    code: 'seller_unavailable',
    message: 'The upstream cannot be reached; nothing was paid.',
    advice: ['Try again in a few seconds.'],
    details: { reason: typeof code === 'string' ? code : 'unknown' },
    cause,
  })
}
