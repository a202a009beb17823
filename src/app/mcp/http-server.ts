/** `tollway mcp --listen`: the agent's tools over streamable HTTP, behind the callers' keys. Each session is its caller's alone. */
import { randomUUID } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { caller, type CallerOptions } from '../../../middleware/caller.ts'
import { errorHandler } from '../../../middleware/error-handler.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { originGuard } from '../../../middleware/origin-guard.ts'
import { TollwayError } from '../../core/errors.ts'
import { CallerQuota } from '../../io/callers/caller-quota.ts'
import type { BuyingContext } from '../buying/buying-context.ts'
import type { PayingCaller } from '../buying/pay.ts'
import type { ListenAddress } from '../config/values/addresses.ts'
import { bind } from '../gateway/bind.ts'
import { loadExpress } from '../gateway/load-express.ts'
import type { AgentSettings } from './agent-pay.ts'
import { agentServer } from './agent-server.ts'
import type { AgentKey, Routing } from './key-rules.ts'

/** How agents reach the server. */
export interface HttpSettings {
  readonly listen: ListenAddress
  /** Who may call: at least one key. */
  readonly callers: CallerOptions
  /** Host names besides those of this machine. */
  readonly hosts: readonly string[]
  /** What the keys' lists of models are about. */
  readonly routing: Routing
}

/** A running server. */
export interface AgentHttpServer {
  /** `http://127.0.0.1:<port>/mcp`. */
  readonly url: string
  close(): Promise<void>
}

interface Session {
  readonly transport: StreamableHTTPServerTransport
  /** As its key was at the latest request: limits that change hold at once. */
  caller: PayingCaller
  key: AgentKey
}

/** The most sessions of one caller at once; an agent that never says goodbye loses its own oldest, and nobody else's. */
const MAX_SESSIONS = 50

/**
 * @param settings the caller of each session takes the place of its `caller`
 * @throws ConfigError when the address cannot be listened at
 */
export async function agentHttpServer(
  context: BuyingContext,
  settings: AgentSettings,
  { listen, callers, hosts, routing }: HttpSettings,
): Promise<AgentHttpServer> {
  const express = await loadExpress()
  const { StreamableHTTPServerTransport: Transport } =
    await import('@modelcontextprotocol/sdk/server/streamableHttp.js')
  const sessions = new Map<string, Session>()

  const quota = new CallerQuota()

  const open = async (first: PayingCaller, key: AgentKey): Promise<StreamableHTTPServerTransport> => {
    const transport: StreamableHTTPServerTransport = new Transport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        const own = [...sessions].filter(
          ([
            ,
            {
              caller: { id: owner },
            },
          ]) => owner === first.id,
        )
        const oldest = own.length >= MAX_SESSIONS ? own[0] : undefined
        if (oldest) {
          sessions.delete(oldest[0])
          void oldest[1].transport.close()
        }
        sessions.set(id, session)
      },
      onsessionclosed: (id) => void sessions.delete(id),
    })
    const session: Session = { transport, caller: first, key }
    const own: AgentSettings = {
      ...settings,
      get caller() {
        return session.caller
      },
      get key() {
        return session.key
      },
    }
    const server = await agentServer(context, own)
    await server.connect(transport)
    return transport
  }

  const app = express()
  app.disable('x-powered-by')
  app.use(originGuard({ hosts }), caller(callers))
  app.all('/mcp', async (req, res) => {
    const { id, team, budgets, allowedModels, limits } = exchangeOf(req).caller
    const asking = { id, team, budgets }
    const key = { id, models: allowedModels, limits, quota, routing }
    const named = req.headers['mcp-session-id']
    const session = typeof named === 'string' ? sessions.get(named) : undefined
    // Another caller's session is none: its answers and its money are not theirs.
    if (named !== undefined && session?.caller.id !== id) throw noSession()
    if (session) Object.assign(session, { caller: asking, key })
    await (session?.transport ?? (await open(asking, key))).handleRequest(req, res)
  })
  app.use((req, _res, next) => next(notHere(req.path)))
  app.use(errorHandler({ hostErrors: 'answer' }))

  const server = createServer(app)
  const base = await bind(server, listen, '--listen')
  return {
    url: `${base}/mcp`,
    close: async () => {
      await Promise.all([...sessions.values()].map(({ transport }) => transport.close()))
      await closed(server)
    },
  }
}

async function closed(server: Server): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  server.closeAllConnections()
  await ended
}

function noSession(): TollwayError {
  return new TollwayError({
    code: 'not_found',
    message: 'This session is not known. Begin a new one; nothing was sent.',
  })
}

function notHere(path: string): TollwayError {
  return new TollwayError({
    code: 'not_found',
    message: `Nothing is served at ${path.slice(0, 200)}. Tools are at /mcp.`,
  })
}
