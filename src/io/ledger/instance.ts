/** Identifies this process and decides whether another one is dead (rule 10), by asking the operating system. */
import { randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Clock } from '../../core/clock.ts'
import type { Instance } from '../store/contracts/instances.ts'

/** The maximum age of a live process's last heartbeat, milliseconds. */
const STALE_AFTER_MS = 30_000

/** Describes this process. Registered in the store once per start of a gateway. */
export function thisInstance(clock: Clock): Instance {
  const now = clock.now()
  const stat = ask(() => readFileSync('/proc/self/stat', 'utf8'))
  return {
    id: `ins_${randomBytes(12).toString('hex')}`,
    host: thisHost(),
    pid: process.pid,
    processStart: parseProcessStat(stat)?.start ?? '',
    startedAt: now,
    heartbeatAt: now,
  }
}

/**
 * Where a process id is unique: machine, boot and process namespace. Two containers on one machine see different processes
 * under the same id, and a reboot reuses every id.
 */
function thisHost(): string {
  const boot = ask(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
  const namespace = ask(() => readlinkSync('/proc/self/ns/pid'))
  return [hostname(), boot, namespace].filter((part) => part !== '').join('/')
}

function ask(read: () => string): string {
  try {
    return read()
  } catch {
    // Without /proc, only the heartbeat decides.
    return ''
  }
}

/**
 * Whether the process of an instance has ended. On the same host the operating system decides, whatever the clocks say. On
 * another host, or when the start time is unknown, the age of the heartbeat decides.
 * @param self the asking process
 * @param now milliseconds since the epoch
 */
export async function isDead(
  instance: Instance,
  self: Instance,
  now: number,
  staleAfterMs: number = STALE_AFTER_MS,
): Promise<boolean> {
  if (instance.host === self.host) {
    if (await isGone(instance)) return true
    // The system confirms that this very process runs: a clock that jumped forward must not release its holds.
    if (instance.processStart !== '') return false
  }
  return now - instance.heartbeatAt > staleAfterMs
}

async function isGone(instance: Instance): Promise<boolean> {
  if (!isAlive(instance.pid)) return true
  const stat = await readFile(`/proc/${instance.pid}/stat`, 'utf8').catch(() => '')
  const found = parseProcessStat(stat)
  // It ended between the two checks, or the system has no /proc.
  if (!found) return !isAlive(instance.pid)
  if (found.ended) return true
  return instance.processStart !== '' && found.start !== instance.processStart
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it is alive and belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** What the operating system reports about a process. */
export interface ProcessStat {
  /** Start time in clock ticks since boot, as the system writes it. */
  readonly start: string
  /** It has ended and waits for its parent to collect it (states Z and X). */
  readonly ended: boolean
}

/**
 * Parses `/proc/<pid>/stat` (proc_pid_stat(5)). The process chooses its name, the second field, which may contain spaces,
 * parentheses and line ends. So fields are counted from the last `)`.
 * @returns `undefined` for any other text
 */
export function parseProcessStat(text: string): ProcessStat | undefined {
  const end = text.lastIndexOf(')')
  if (end === -1) return undefined
  // Field 3 comes first here, so field 22 is at index 19.
  const fields = text
    .slice(end + 1)
    .trim()
    .split(/\s+/)
  const start = fields[19]
  if (start === undefined || !/^\d+$/.test(start)) return undefined
  return { start, ended: fields[0] === 'Z' || fields[0] === 'X' }
}
