/**
 * The connection of a request that carries a payment. It is opened for that request and carries nothing else: a connection that
 * was kept may be one that the seller is closing, and then it is not known whether the seller read what is written to it.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { buildConnector } from 'undici'

/** How long a connection may wait for its payment (ms): servers give new connections seconds to send something. */
const MAX_WAIT_MS = 3_000

/** Opened while the seller is asked for its price, so that it is there when the payment is signed. */
export interface PaymentLine {
  /**
   * The connection, once; a new one where this one waited too long, or the seller has closed it.
   * @throws NoConnectionError
   */
  take(): Promise<Socket>
  /** Closes a connection that was not taken. */
  close(): void
}

/** Opens one. Never rejects: a connection that cannot be had now is tried again when it is needed. */
export function openPaymentLine(connect: () => Promise<Socket>): PaymentLine {
  let isOver = false
  const opening = connect().then(
    (socket) => {
      if (isOver) socket.destroy()
      return watch(socket)
    },
    () => undefined,
  )
  return {
    async take() {
      isOver = false
      const kept = (await opening)?.()
      isOver = true
      return kept ?? (await connect())
    },
    close() {
      if (isOver) return
      isOver = true
      void opening.then((release) => release?.()?.destroy())
    },
  }
}

/** @returns what ends the watch, with the connection if it is as good as new */
function watch(socket: Socket): () => Socket | undefined {
  const openedAt = performance.now()
  let isSpoilt = false
  const spoil = (): void => {
    isSpoilt = true
  }
  // An HTTP/1.1 server sends nothing before the request: early bytes, or an end, are a refusal. An HTTP/2 server sends its settings first.
  const isSilent = !(socket instanceof TLSSocket && socket.alpnProtocol === 'h2')
  if (isSilent) socket.once('readable', spoil)
  return () => {
    socket.off('readable', spoil)
    if (!isSpoilt && !socket.destroyed && performance.now() - openedAt <= MAX_WAIT_MS) return socket
    socket.destroy()
    return undefined
  }
}

/** A connector that gives one connection, once: there is none for a second send. */
export function onlyConnection(socket: Socket): buildConnector.connector {
  let given = false
  return (_target, callback) => {
    const isFirst = !given
    given = true
    // undici takes an answer within the call for none.
    queueMicrotask(() => {
      if (isFirst) callback(null, socket)
      else callback(new Error('a request with a payment is sent once'), null)
    })
  }
}

/** The line's connection, unless the time of the request is over first: a connection that comes later is closed. */
export async function takeWithin(line: PaymentLine, signal: AbortSignal): Promise<Socket> {
  const late = Promise.withResolvers<never>()
  const giveUp = (): void => late.reject(signal.reason)
  signal.addEventListener('abort', giveUp)
  const taking = line.take()
  try {
    signal.throwIfAborted()
    return await Promise.race([taking, late.promise])
  } catch (error) {
    void taking.then((socket) => socket.destroy()).catch(() => undefined)
    throw error
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
