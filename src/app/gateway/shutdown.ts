/** Shutdown: accepts nothing new, lets running requests finish, and answers a call whose payment was sent before cutting it. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import type { GatewayParts } from './open-parts.ts'

/** Interval of the check for connections that became idle after the server stopped accepting. */
const SWEEP_MS = 50

/** Time for the answers of calls ended at the deadline to reach their clients. */
const LAST_WORDS_MS = 1_000

/** What {@link shutDown} stops. */
export interface ShutdownContext {
  readonly server: Server
  /** Websockets, which the server no longer counts. */
  readonly sockets: ReadonlySet<Duplex>
  /** Connections that have not sent a request yet. */
  readonly silent: ReadonlySet<Socket>
  /** Requests that have not been answered to the end. */
  readonly open: ReadonlySet<IncomingMessage>
  readonly parts: Pick<GatewayParts, 'upstream' | 'running'>
  readonly deadlineMs: number
}

/** The sockets that a server has handed over to another protocol, until they close. */
export function upgradedSockets(server: Server): ReadonlySet<Duplex> {
  const sockets = new Set<Duplex>()
  server.on('upgrade', (_req, socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return sockets
}

/**
 * The connections of a server that have not yet sent a request: spare ones that browsers and pools open in
 * advance, and port probes. Node counts them as busy and would wait for them until the deadline.
 */
export function silentSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const spoke = ({ socket }: IncomingMessage): void => void sockets.delete(socket)
  server.prependListener('request', spoke)
  server.prependListener('checkExpectation', spoke)
  server.prependListener('upgrade', spoke)
  return sockets
}

/** The requests of a server whose answers have not ended. */
export function openRequests(server: Server): ReadonlySet<IncomingMessage> {
  const open = new Set<IncomingMessage>()
  const watch = (request: IncomingMessage, response: ServerResponse): void => {
    open.add(request)
    response.once('close', () => open.delete(request))
  }
  server.prependListener('request', watch)
  server.prependListener('checkExpectation', watch)
  return open
}

/**
 * Stops accepting and waits for running answers and paid calls. At the deadline the connections to sellers are
 * closed first: a paid call still in flight is then recorded as uncertain and answered 400, because a cut
 * connection would make stock clients send it again. Remaining connections are then cut, and their records say so.
 */
export async function shutDown({
  server,
  sockets,
  silent,
  open,
  parts,
  deadlineMs,
}: ShutdownContext): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    if (server.listening) server.close(() => resolve())
    else resolve()
  })
  // The start of a request may be in transit; a request that is incomplete after this time is not waited for.
  const impatient = setTimeout(() => dropSilent(silent, () => true), LAST_WORDS_MS)
  const sweep = setInterval(() => {
    server.closeIdleConnections()
    dropSilent(silent, ({ bytesRead }) => bytesRead === 0)
  }, SWEEP_MS)
  try {
    const finished = Promise.all([closed, parts.running.idle(), allClosed(sockets)])
    if (await within(deadlineMs, finished)) return
    await parts.upstream.close()
    for (const socket of sockets) socket.destroy()
    if (await within(LAST_WORDS_MS, finished)) return
    for (const request of open) exchangeOf(request).relay.closedBy = 'shutdown'
    server.closeAllConnections()
    // Calls that now end book what they held while the ledger is open.
    await within(LAST_WORDS_MS, finished)
    await closed
  } finally {
    clearInterval(sweep)
    clearTimeout(impatient)
  }
}

function dropSilent(silent: ReadonlySet<Socket>, which: (socket: Socket) => boolean): void {
  for (const socket of silent) if (which(socket)) socket.destroy()
}

async function allClosed(sockets: ReadonlySet<Duplex>): Promise<void> {
  await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
}

/** Whether the promise settled in time. */
async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
