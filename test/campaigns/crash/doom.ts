/** Lets this process die by SIGKILL at a chosen step, through wrappers around the gateway's parts. Loaded by the gateway under test. */
import { subscribe } from 'node:diagnostics_channel'
import nodeFs, { writeSync } from 'node:fs'
import { ServerResponse } from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import type { PartOverrides } from '../../../src/app/gateway/open-parts.ts'
import type { Provider } from '../../../src/core/payer/provider.ts'
import type { AuditSink } from '../../../src/io/audit/audit-queue.ts'
import type { Store } from '../../../src/io/store/store.ts'
import { LAST_WORDS, type Step } from './steps.ts'

/** How long the first bytes of an answer get to leave the process, milliseconds. */
const LEAVE_MS = 3

/** Counts the times a step is come to, and dies at the chosen one. */
export class Doom {
  readonly step: Step
  #left: number

  /** @param nth 1 for the first time the step is come to */
  constructor(step: Step, nth: number) {
    this.step = step
    this.#left = nth
  }

  /** Dies here when this is the step and the time. */
  at(step: string): void {
    if (this.#isDue(step)) this.#die()
  }

  /** Dies in a moment, so that what was handed to the system can leave. */
  soonAfter(step: string): void {
    if (this.#isDue(step)) setTimeout(() => this.#die(), LEAVE_MS)
  }

  /** Whether to die now; for a step that has something to break first. */
  isDueAt(step: string): boolean {
    return this.#isDue(step)
  }

  #isDue(step: string): boolean {
    if (step !== this.step) return false
    this.#left -= 1
    return this.#left === 0
  }

  /** Dies at once: no handler, no flush, no exit code. */
  dieNow(): never {
    return this.#die()
  }

  #die(): never {
    writeSync(1, `${LAST_WORDS}${this.step}\n`)
    process.kill(process.pid, 'SIGKILL')
    throw new Error('SIGKILL came late')
  }
}

/** What to give `createGateway` so that it dies; patches of this process are made at once. */
export function doomed(doom: Doom): Pick<PartOverrides, 'wrapStore' | 'wrapAudit'> {
  patchCommit(doom)
  patchAuditWrite(doom)
  watchTransport(doom)
  patchAnswers(doom)
  return {
    wrapStore: (store) => wrapStore(store, doom),
    wrapAudit: (audit) => wrapAudit(audit, doom),
  }
}

/** A payer that dies before or after it signs. */
export function doomedPayer(payer: Provider, doom: Doom): Provider {
  return {
    name: payer.name,
    networks: payer.networks,
    supports: (offer) => payer.supports(offer),
    async authorize(quote, charge, signal) {
      doom.at('sign:before')
      const authorization = await payer.authorize(quote, charge, signal)
      doom.at('sign:after')
      return authorization
    },
    closed: (charge, outcome) => payer.closed(charge, outcome),
    close: () => payer.close(),
  }
}

function wrapStore(store: Store, doom: Doom): Store {
  const around = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    doom.at(`${name}:before`)
    const result = await work()
    doom.at(`${name}:after`)
    return result
  }
  const own: Pick<Store, 'reserve' | 'authorize' | 'move' | 'retire'> = {
    reserve: (...args) => around('reserve', () => store.reserve(...args)),
    authorize: (...args) => around('record', () => store.authorize(...args)),
    move: (id, move) => around(nameOfMove(move), () => store.move(id, move)),
    async retire(...args) {
      doom.at('retire:before')
      const moved = await store.retire(...args)
      // Only where something hangs on it: a retirement without charges leaves nothing half done.
      if (moved.length > 0) doom.at('retire:after')
      return moved
    },
  }
  // The rest passes through, whatever the contract grows by.
  return new Proxy(store, {
    get(target, name) {
      if (name in own) return Reflect.get(own, name) as unknown
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })
}

function nameOfMove({ to, reason }: { readonly to: string; readonly reason: string }): string {
  if (to === 'settled') return reason.startsWith('chain_') ? 'reconcile.settle' : 'settle'
  if (to === 'released') return reason.startsWith('chain_') ? 'reconcile.release' : 'release'
  return to
}

function wrapAudit(audit: AuditSink, doom: Doom): AuditSink {
  return {
    async append(type, fields, options) {
      const name = type.replace('charge.', 'audit.')
      doom.at(`${name}:before`)
      const appending = audit.append(type, fields, options)
      doom.at(`${name}:written`)
      const result = await appending
      doom.at(`${name}:after`)
      return result
    },
    check: async () => audit.check?.(),
    close: () => audit.close(),
  }
}

/** In the middle of a transaction: everything done and nothing committed, or committed and nobody told. */
function patchCommit(doom: Doom): void {
  const exec = originalOf(DatabaseSync.prototype, 'exec')
  Object.assign(DatabaseSync.prototype, {
    exec(this: DatabaseSync, sql: string): void {
      if (sql === 'COMMIT') doom.at('commit:before')
      exec.call(this, sql)
      if (sql === 'COMMIT') doom.at('commit:after')
    },
  })
}

/** A line of the audit file of which only a part reached the system. */
function patchAuditWrite(doom: Doom): void {
  if (doom.step !== 'audit:half-a-line') return
  const write = nodeFs.writeSync.bind(nodeFs)
  const patched = (
    fd: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number => {
    const isRecord = Buffer.from(bytes.subarray(offset, offset + length)).includes('"type":"charge.')
    if (!isRecord || !doom.isDueAt('audit:half-a-line')) return write(fd, bytes, offset, length, position)
    write(fd, bytes, offset, length >> 1, position)
    return doom.dieNow()
  }
  Object.assign(nodeFs, { writeSync: patched })
}

/** Undici tells where a request is; requests without a payment are not looked at. */
function watchTransport(doom: Doom): void {
  const on = (channel: string, step: Step): void => {
    subscribe(`undici:request:${channel}`, (message) => {
      if (carriesPayment(message)) doom.at(step)
    })
  }
  on('create', 'send:before')
  on('bodySent', 'send:bytes-left')
  on('headers', 'send:headers')
}

function carriesPayment(message: unknown): boolean {
  const { request } = message as { readonly request: { readonly headers?: unknown } }
  return /payment-signature|x-payment/i.test(String(request.headers))
}

/** Paid answers on their way to the client. */
function patchAnswers(doom: Doom): void {
  const patch = (name: 'write' | 'end', then: (response: ServerResponse) => void) => {
    const original = originalOf(ServerResponse.prototype, name)
    return function patched(this: ServerResponse, ...args: unknown[]): unknown {
      const result = original.apply(this, args)
      if (this.hasHeader('x-tollway-charge') && this.statusCode === 200) then(this)
      return result
    }
  }
  const begun = new WeakSet<ServerResponse>()
  Object.assign(ServerResponse.prototype, {
    write: patch('write', (response) => {
      if (begun.has(response)) return
      begun.add(response)
      doom.soonAfter('relay:first-bytes')
    }),
    end: patch('end', () => doom.at('relay:end')),
  })
}

type Method = (this: unknown, ...args: unknown[]) => unknown

function originalOf(prototype: object, name: string): Method {
  return Reflect.get(prototype, name) as Method
}
