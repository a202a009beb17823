/**
 * The main thread's side of a worker thread that alone loads and holds a private key (rule 8): messages go in, signatures come
 * out, and every failure is `signer_unavailable`.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import type { KeyReference, SecretReference } from '../../core/payer/key-reference.ts'
import type { Variables } from '../../core/payer/variables.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import { claimVariable, notSet, type VariableClaim } from './key-variable.ts'
import { WORKER_MESSAGE, type WorkerMessage } from './signer-protocol.ts'

/** The part of `Worker` that the signer uses. */
export interface SignerWorker {
  postMessage(message: unknown, transfer: readonly []): void
  on(event: 'message' | 'messageerror' | 'error', listener: (value: unknown) => void): unknown
  on(event: 'exit', listener: () => void): unknown
  ref(): void
  unref(): void
  terminate(): Promise<unknown>
}

/** Options of a signer whose key is in a thread of this process. */
export interface ThreadSignerOptions {
  readonly key: KeyReference
  /** Longest wait for one signature, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Longest wait for the worker's start, milliseconds; default 30,000. */
  readonly startTimeoutMs?: number | undefined
  readonly timers?: Timers | undefined
  /** Starts the worker; replaced in tests. */
  readonly spawn?: ((key: KeyReference) => SignerWorker) | undefined
}

/** A worker that has loaded its key. */
export interface StartedThread {
  readonly thread: SignerThread
  readonly address: string
  /** Longest wait for one signature, milliseconds. */
  readonly timeoutMs: number
}

/**
 * Starts a worker and waits until it has loaded the key. A key in an environment variable is removed from the environment,
 * whether the worker started or not.
 * @param spawnWorker starts the worker that signs for this kind of network
 * @throws ConfigError when the key is missing, already taken, badly kept (file mode, owner) or malformed
 * @throws TollwayError `signer_unavailable` when the worker does not start
 */
export async function startThread(
  options: ThreadSignerOptions,
  spawnWorker: (key: KeyReference) => SignerWorker,
): Promise<StartedThread> {
  const {
    key,
    timeoutMs = 10_000,
    startTimeoutMs = 30_000,
    timers = systemTimers,
    spawn = spawnWorker,
  } = options
  const variable = variableOf(key)
  const claim = variable && claimOf(variable)
  let address: string | undefined
  try {
    const thread = new SignerThread(spawn(key), timers, () => claim?.closed())
    try {
      address = await thread.started(startTimeoutMs)
      return { thread, address, timeoutMs }
    } catch (error) {
      await thread.close()
      throw error
    }
  } finally {
    claim?.finish(address)
  }
}

/**
 * Starts one of our signing workers.
 * @param module the worker's file
 */
export function spawnSigner(module: URL, key: KeyReference): SignerWorker {
  return new Worker(module, {
    name: 'tollway-signer',
    workerData: { key: plain(key) },
    argv: [],
    // Flags of this process may preload modules: none of them may run in the thread that holds the key.
    execArgv: [],
    // The worker reads the variable itself: a copy made here would put the key into this thread's memory.
    env: environmentOf(key) ?? SHARE_ENV,
  })
}

/** The environment variable that holds a key, or the password of its keystore. */
interface KeyVariable {
  readonly name: string
  readonly holds: 'private key' | 'keystore password'
  readonly variables?: Variables | undefined
}

function variableOf(key: KeyReference): KeyVariable | undefined {
  if (key.source === 'env') return { ...key, holds: 'private key' }
  if (key.source !== 'keystore' || key.password.source !== 'env') return undefined
  return { ...key.password, holds: 'keystore password' }
}

/** A variable of the program's own stays where it is: only those of the process are seen by others, and removed. */
function claimOf({ name, holds, variables }: KeyVariable): VariableClaim | undefined {
  if (!variables) return claimVariable(name, holds)
  if (!variables.has(name)) throw notSet(name, holds)
  return undefined
}

/** The environment for the thread of a key, where the program gave one of its own: no more than the key needs. */
function environmentOf(key: KeyReference): Record<string, string> | undefined {
  const secret = key.source === 'keystore' ? key.password : key
  if (secret.source !== 'env' && secret.source !== 'credential') return undefined
  return secret.variables?.pick([secret.source === 'env' ? secret.name : 'CREDENTIALS_DIRECTORY'])
}

/** A reference as it is sent to the thread, which has its variables in its environment. */
function plain(key: KeyReference): KeyReference {
  if (key.source === 'keystore') return { ...key, password: plainSecret(key.password) }
  return key.source === 'agentcash' ? key : plainSecret(key)
}

function plainSecret(secret: SecretReference): SecretReference {
  return secret.source === 'file' ? secret : { source: secret.source, name: secret.name }
}

interface Waiting {
  readonly count: number
  resolve(signatures: readonly `0x${string}`[]): void
  reject(error: unknown): void
}

/** A signing worker, seen from the main thread. */
export class SignerThread {
  readonly #worker: SignerWorker
  readonly #timers: Timers
  readonly #onClosed: () => void
  readonly #waiting = new Map<number, Waiting>()
  readonly #ready = Promise.withResolvers<string>()
  #nextId = 0
  #gone: TollwayError | undefined

  /** @param onClosed called when the key is gone with its worker */
  constructor(worker: SignerWorker, timers: Timers, onClosed: () => void = () => undefined) {
    this.#onClosed = onClosed
    this.#worker = worker
    this.#timers = timers
    // An error after the start, when no one awaits the promise, must not end the process.
    this.#ready.promise.catch(() => {})
    worker.on('message', (message) => this.#receive(message))
    worker.on('messageerror', () => this.#fail('sent something unreadable'))
    // A worker's error may quote the data it worked on: it is dropped unread.
    worker.on('error', () => this.#fail('failed'))
    worker.on('exit', () => this.#fail('has ended'))
  }

  /** @returns the address, as the worker spells it */
  async started(timeoutMs: number): Promise<string> {
    const cancel = this.#timers.after(timeoutMs, () => this.#fail(`did not start within ${timeoutMs} ms`))
    try {
      return await this.#ready.promise
    } finally {
      cancel()
      // An idle signer does not keep the process alive.
      if (this.#waiting.size === 0) this.#worker.unref()
    }
  }

  /** @throws TollwayError `signer_unavailable` when the worker is gone */
  check(): void {
    if (this.#gone) throw this.#gone
  }

  /** @param messages at most {@link MAX_BATCH} */
  sign(
    messages: readonly object[],
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<readonly `0x${string}`[]> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(asError(signal.reason))
      if (this.#gone) return reject(this.#gone)
      const id = this.#nextId++
      const aborted = (): void => this.#waiting.get(id)?.reject(asError(signal.reason))
      const cancel = this.#timers.after(timeoutMs, () => {
        this.#waiting.get(id)?.reject(unavailable(`did not answer within ${timeoutMs} ms`, TRY_AGAIN))
      })
      const finish = (): void => {
        cancel()
        signal.removeEventListener('abort', aborted)
        this.#waiting.delete(id)
        if (this.#waiting.size === 0) this.#worker.unref()
      }
      const waiting: Waiting = {
        count: messages.length,
        resolve(signatures) {
          finish()
          resolve(signatures)
        },
        reject(error) {
          finish()
          reject(asError(error))
        },
      }
      signal.addEventListener('abort', aborted)
      this.#waiting.set(id, waiting)
      this.#worker.ref()
      this.#worker.postMessage({ type: 'sign', id, messages }, [])
    })
  }

  async close(): Promise<void> {
    this.#fail('is closed', TRY_AGAIN)
    await this.#worker.terminate()
    this.#onClosed()
  }

  #receive(message: unknown): void {
    const parsed = WORKER_MESSAGE.safeParse(message)
    if (parsed.success) this.#handle(parsed.data)
    else this.#fail('sent something unreadable')
  }

  #handle(message: WorkerMessage): void {
    switch (message.type) {
      case 'ready':
        return this.#ready.resolve(message.address)
      case 'fault':
        return this.#ready.reject(new ConfigError(message.fault))
      case 'signed': {
        const waiting = this.#waiting.get(message.id)
        if (waiting && waiting.count !== message.signatures.length)
          return this.#fail('sent something unreadable')
        return waiting?.resolve(message.signatures)
      }
      case 'refused':
        return this.#waiting
          .get(message.id)
          ?.reject(unavailable(`refused to sign: ${message.reason}`, 'Check the payer and its assets.'))
      default:
        return message satisfies never
    }
  }

  #fail(what: string, advice?: string): void {
    this.#gone ??= unavailable(what, advice)
    this.#ready.reject(this.#gone)
    for (const waiting of this.#waiting.values()) waiting.reject(this.#gone)
  }
}

const TRY_AGAIN =
  'Send the request again. If it keeps happening, check the load of the machine and restart Tollway.'

/**
 * Nothing can be signed now.
 * @param what what the signer did, e.g. `has ended`
 * @param advice what to do
 */
export function unavailable(
  what: string,
  advice = 'Restart Tollway, so that its signer starts anew.',
): TollwayError {
  return new TollwayError({
    code: 'signer_unavailable',
    message: `The signer ${what}; nothing was paid.`,
    advice: [advice],
  })
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
