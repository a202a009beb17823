/** Who listens where a gateway wants to listen, for the advice when an address is taken. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { addressOf, type ListenAddress } from '../config/values/addresses.ts'

/** Longest wait for whoever listens there, milliseconds. */
const TIMEOUT_MS = 30_000
/** Every answer of a gateway has it. */
const OUR_HEADER = 'x-tollway-spent'
/** The state of a listening socket in `/proc/net/tcp`. */
const LISTENING = '0A'

/** What is known of whoever has an address. */
export interface PortHolder {
  readonly isTollway: boolean
  /** Its process and the name it was started by; `undefined` without `/proc`, or when it belongs to another user. */
  readonly process: { readonly pid: number; readonly program: string } | undefined
}

/** Asks the address once, unpaid, and the operating system. */
export async function findPortHolder(listen: ListenAddress): Promise<PortHolder> {
  return { isTollway: await answersAsTollway(addressOf(listen)), process: processAt(listen.port) }
}

/** The sentences about an address that is taken: who has it and what to do. @param keys where the address is set */
export async function takenBy(listen: ListenAddress, keys: string): Promise<string> {
  const { isTollway, process: holder } = await findPortHolder(listen)
  const which = holder === undefined ? '' : ` (${holder.program}, process ${holder.pid})`
  const find = `Find it with ss -ltnp 'sport = :${listen.port}' and stop it`
  return isTollway
    ? `A Tollway gateway already runs at ${addressOf(listen)}${which}. ` +
        `${holder === undefined ? find : `Stop it with kill ${holder.pid}`}, which lets running payments finish first, or choose another address with ${keys}.`
    : `${listen.host}:${listen.port} is taken by another program${which}. ` +
        `${holder === undefined ? find : 'Stop it'}, or choose another address with ${keys}.`
}

async function answersAsTollway(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const answer = await fetch(`${url}/health/live`, { redirect: 'manual', signal })
    await answer.body?.cancel()
    return answer.headers.has(OUR_HEADER)
  } catch {
    return false
  }
}

/** The process that listens on a port, by Linux's tables: the socket's number, then whoever has it open. */
function processAt(port: number): PortHolder['process'] {
  const sockets = new Set(['tcp', 'tcp6'].flatMap((table) => listeningSockets(`/proc/net/${table}`, port)))
  if (sockets.size === 0) return undefined
  const pid = attempt(() => readdirSync('/proc'), [])
    .filter((name) => /^\d+$/.test(name))
    .find((name) =>
      attempt(() => readdirSync(`/proc/${name}/fd`), []).some((fd) =>
        sockets.has(attempt(() => readlinkSync(`/proc/${name}/fd/${fd}`), '')),
      ),
    )
  if (pid === undefined) return undefined
  // Only the program: its arguments may hold secrets.
  const [command = ''] = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'), '').split('\0')
  return { pid: Number(pid), program: basename(command) || 'a program' }
}

/** As they are named in `/proc/<pid>/fd`. */
function listeningSockets(table: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return attempt(() => readFileSync(table, 'utf8'), '')
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
      return local.endsWith(`:${hex}`) && state === LISTENING ? [`socket:[${inode}]`] : []
    })
}

/** Processes end while they are looked at, and those of other users cannot be. */
function attempt<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}
