/** Whether the gateway could listen at its addresses. Nothing is bound that another program may want at the same moment. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { readFileSync } from 'node:fs'
import { ConfigError } from '../../core/errors.ts'
import type { ListenAddress } from '../config/values/addresses.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { explainListenError, LISTEN_KEYS, METRICS_KEYS } from '../gateway/bind.ts'
import { findPortHolder, takenBy } from '../gateway/port-holder.ts'
import { fault, type StartFault } from './start-fault.ts'

/** To an address of this machine: it takes no time, unless the machine is very busy. */
const CONNECT_MS = 30_000

/** Looks at `listen` and `metrics.listen`. */
export async function examineListeners({
  listen,
  metrics,
}: Pick<ResolvedConfig, 'listen' | 'metrics'>): Promise<StartFault[]> {
  const found = [await examineAddress(listen, ['listen'], LISTEN_KEYS)]
  if (metrics.listen) found.push(await examineAddress(metrics.listen, ['metrics', 'listen'], METRICS_KEYS))
  return found.flat()
}

async function examineAddress(
  listen: ListenAddress,
  path: readonly string[],
  keys: string,
): Promise<StartFault[]> {
  const refused = await tryAddress(listen)
  if (refused) {
    const error = await explainListenError(refused, listen, keys)
    return [fault(path, error instanceof ConfigError ? error.message : `cannot be used: ${error.message}`)]
  }
  if (listen.port === 0 || !(await isTaken(listen))) return []
  const { isTollway } = await findPortHolder(listen)
  return [{ path, message: await takenBy(listen, keys), isRunning: isTollway }]
}

/** Listens at the host for a moment, on any free port, or on a port that only the administrator may use. */
async function tryAddress({ host, port }: ListenAddress): Promise<NodeJS.ErrnoException | undefined> {
  const server = createServer()
  const listening = once(server, 'listening')
  server.listen(port > 0 && port < firstOpenPort() ? port : 0, host)
  try {
    await listening
    server.close()
    return undefined
  } catch (error) {
    // A port of the administrator that is taken is found by the connection, like any other.
    return error instanceof Error && !('code' in error && error.code === 'EADDRINUSE') ? error : undefined
  }
}

/** Ports below it need a privilege. */
function firstOpenPort(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'))
  } catch {
    return 1024
  }
}

/** Whether someone accepts connections there. */
async function isTaken({ host, port }: ListenAddress): Promise<boolean> {
  const here = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  const socket = connect({ host: here, port })
  socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('no answer')))
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
