/** A TCP proxy in front of a server, which can stop passing bytes on without closing anything, as a partitioned network does. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface TcpProxy {
  readonly port: number
  /** How many connections were opened so far. */
  readonly opened: number
  /** Passes nothing on, in either direction, until {@link heal}. */
  cut(): void
  heal(): void
  close(): Promise<void>
}

/** Starts a proxy on the loopback address. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let isCut = false
  let opened = 0
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    if (isCut) socket.pause()
    return socket
  }
  const server = createServer((client) => {
    opened += 1
    const upstream = connect(target, '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      keep(from).on('data', (data) => to.write(data))
      from.on('close', () => to.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const set = (cut: boolean) => (): void => {
    isCut = cut
    for (const socket of sockets) {
      if (cut) socket.pause()
      else socket.resume()
    }
  }
  return {
    port: (server.address() as AddressInfo).port,
    get opened() {
      return opened
    },
    cut: set(true),
    heal: set(false),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
