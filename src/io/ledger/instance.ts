/** Which process owns what, and whether it is dead (rule 10): read from the system, because a dead process tells nothing. */
import { randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Clock } from '../../core/clock.ts'
import type { Instance } from '../store/contracts/instances.ts'

/** How old the last heartbeat of a live process may be, milliseconds. */
const STALE_AFTER_MS = 30_000

/** Describes this process: to be registered in the store, once per start of a gateway. */
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
 * Where a process id means something: machine, boot and process namespace. Two containers of one machine see
 * different processes under one id, and a reboot gives every id anew.
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
    // Systems without /proc: the heartbeat alone tells then.
    return ''
  }
}

/**
 * Whether the process of an instance has ended. On the same host the system tells, whatever the clocks say; elsewhere, or where
 * its start time is unknown, the age of its heartbeat does.
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
    // The system knows this very process as running: no clock that jumped forward takes its holds away.
    if (instance.processStart !== '') return false
  }
  return now - instance.heartbeatAt > staleAfterMs
}

async function isGone(instance: Instance): Promise<boolean> {
  if (!isAlive(instance.pid)) return true
  const stat = await readFile(`/proc/${instance.pid}/stat`, 'utf8').catch(() => '')
  const found = parseProcessStat(stat)
  // Ended between the two questions, or a system without /proc.
  if (!found) return !isAlive(instance.pid)
  if (found.ended) return true
  return instance.processStart !== '' && found.start !== instance.processStart
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** What the system says about a process. */
export interface ProcessStat {
  /** Start time in clock ticks since boot, as the system writes it. */
  readonly start: string
  /** It has ended and only waits for its parent to notice (states Z and X). */
  readonly ended: boolean
}

/**
 * Reads `/proc/<pid>/stat` (proc_pid_stat(5)). The second field, the name, is the process's own choice and may
 * hold spaces, parentheses and line ends: everything is counted from the last `)`.
 * @returns `undefined` for text that is none
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
