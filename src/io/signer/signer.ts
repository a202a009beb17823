/**
 * Signs payments in one worker thread that alone takes and holds the private key (rule 8): the main thread never has
 * it in its memory, and its event loop is busy for microseconds instead of a signature's 0.4 ms.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import type { KeyReference } from '../../core/payer/key-reference.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import type { TypedMessage } from '../../core/payer/typed-message.ts'
import { claimVariable } from './key-variable.ts'
import { MAX_BATCH, WORKER_MESSAGE, type WorkerMessage } from './signer-protocol.ts'

/** Signs payments with one key, wherever it is. */
export interface Signer {
  /** The paying address, lower case. */
  readonly address: string
  /**
   * @throws TollwayError `signer_unavailable` when the signer is gone, refuses, or does not answer in time
   * @throws the signal's reason when it is aborted first; what the worker signs then is dropped
   */
  sign(typed: TypedMessage, signal: AbortSignal): Promise<`0x${string}`>
  /**
   * Signs a batch, in the order given, letting single signatures through in between. All or nothing: what was signed before a
   * failure is dropped.
   * @param onProgress told how many are done
   * @throws as {@link Signer.sign}
   */
  signMany(
    typed: readonly TypedMessage[],
    signal: AbortSignal,
    onProgress?: (done: number) => void,
  ): Promise<readonly `0x${string}`[]>
  /** Lets go of the key, or of the connection to it. Signatures still asked for are refused. */
  close(): Promise<void>
}

/** The part of a worker thread that the signer uses. */
export interface SignerWorker {
  postMessage(message: unknown, transfer: readonly []): void
  on(event: 'message' | 'messageerror' | 'error', listener: (value: unknown) => void): unknown
  on(event: 'exit', listener: () => void): unknown
  ref(): void
  unref(): void
  terminate(): Promise<unknown>
}

/** Options of {@link startSigner}. */
export interface SignerOptions {
  readonly key: KeyReference
  /** Longest wait for one signature, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Longest wait for the worker's start, milliseconds; default 30,000. */
  readonly startTimeoutMs?: number | undefined
  readonly timers?: Timers | undefined
  /** Starts the worker; tests put their own here. */
  readonly spawn?: ((key: KeyReference) => SignerWorker) | undefined
}

/**
 * Starts the worker and waits until it has the key. A key in an environment variable is taken out of the environment:
 * no other signer, no child process and no diagnostic report of this process finds it there afterwards. One variable
 * therefore serves one signer; share that signer's payer between routes, or give the next one its own variable or a
 * file.
 * @throws ConfigError when the key is missing, already taken, badly kept (file mode, owner) or malformed
 * @throws TollwayError `signer_unavailable` when the worker does not start
 */
export async function startSigner(options: SignerOptions): Promise<Signer> {
  const {
    key,
    timeoutMs = 10_000,
    startTimeoutMs = 30_000,
    timers = systemTimers,
    spawn = spawnWorker,
  } = options
  const variable = variableOf(key)
  const claim = variable && claimVariable(variable.name, variable.holds)
  try {
    const thread = new SignerThread(spawn(key), timers)
    try {
      const address = await thread.started(startTimeoutMs)
      return {
        address,
        async sign(typed, signal) {
          const [signature] = await thread.sign([typed], signal, timeoutMs)
          return signature ?? absent()
        },
        async signMany(typed, signal, onProgress) {
          const signatures: `0x${string}`[] = []
          for (let at = 0; at < typed.length; at += MAX_BATCH) {
            signatures.push(...(await thread.sign(typed.slice(at, at + MAX_BATCH), signal, timeoutMs)))
            onProgress?.(signatures.length)
          }
          return signatures
        },
        close: () => thread.close(),
      }
    } catch (error) {
      await thread.close()
      throw error
    }
  } finally {
    claim?.finish()
  }
}

/** The environment variable that holds the key, or the password of its keystore. */
function variableOf(key: KeyReference): { readonly name: string; readonly holds: string } | undefined {
  if (key.source === 'env') return { name: key.name, holds: 'private key' }
  if (key.source !== 'keystore' || key.password.source !== 'env') return undefined
  return { name: key.password.name, holds: 'keystore password' }
}

function spawnWorker(key: KeyReference): SignerWorker {
  const file = import.meta.url.endsWith('.ts') ? './signer.worker.ts' : './signer.worker.js'
  return new Worker(new URL(file, import.meta.url), {
    name: 'tollway-signer',
    workerData: { key },
    argv: [],
    // Flags of this process may name preloaded modules: none of them runs in the thread that holds the key.
    execArgv: [],
    // The worker reads the variable itself: a copy made here would be the key in this thread's memory.
    env: SHARE_ENV,
  })
}

interface Waiting {
  readonly count: number
  resolve(signatures: readonly `0x${string}`[]): void
  reject(error: unknown): void
}

/** The main thread's view of the worker. */
class SignerThread {
  readonly #worker: SignerWorker
  readonly #timers: Timers
  readonly #waiting = new Map<number, Waiting>()
  readonly #ready = Promise.withResolvers<string>()
  #nextId = 0
  #gone: TollwayError | undefined

  constructor(worker: SignerWorker, timers: Timers) {
    this.#worker = worker
    this.#timers = timers
    // An error that comes when nobody waits for the start must not end the process.
    this.#ready.promise.catch(() => {})
    worker.on('message', (message) => this.#receive(message))
    worker.on('messageerror', () => this.#fail('sent something unreadable'))
    // What a worker dies of may quote what it was working on: it is dropped unread.
    worker.on('error', () => this.#fail('failed'))
    worker.on('exit', () => this.#fail('has ended'))
  }

  /** @returns the address, lower case */
  async started(timeoutMs: number): Promise<string> {
    const cancel = this.#timers.after(timeoutMs, () => this.#fail(`did not start within ${timeoutMs} ms`))
    try {
      return await this.#ready.promise
    } finally {
      cancel()
      // A signer that waits for work does not keep the process alive.
      if (this.#waiting.size === 0) this.#worker.unref()
    }
  }

  /** @param messages at most {@link MAX_BATCH} */
  sign(
    messages: readonly TypedMessage[],
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<readonly `0x${string}`[]> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(asError(signal.reason))
      if (this.#gone) return reject(this.#gone)
      const id = this.#nextId++
      const aborted = (): void => this.#waiting.get(id)?.reject(asError(signal.reason))
      const cancel = this.#timers.after(timeoutMs, () => {
        this.#waiting.get(id)?.reject(unavailable(`did not answer within ${timeoutMs} ms`))
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
    this.#fail('is closed')
    await this.#worker.terminate()
  }

  #receive(message: unknown): void {
    const parsed = WORKER_MESSAGE.safeParse(message)
    if (parsed.success) this.#handle(parsed.data)
    else this.#fail('sent something unreadable')
  }

  #handle(message: WorkerMessage): void {
    switch (message.type) {
      case 'ready':
        return this.#ready.resolve(message.address.toLowerCase())
      case 'fault':
        return this.#ready.reject(new ConfigError(message.fault))
      case 'signed': {
        const waiting = this.#waiting.get(message.id)
        if (waiting && waiting.count !== message.signatures.length)
          return this.#fail('sent something unreadable')
        return waiting?.resolve(message.signatures)
      }
      case 'refused':
        return this.#waiting.get(message.id)?.reject(unavailable(`refused to sign: ${message.reason}`))
      default:
        return message satisfies never
    }
  }

  #fail(what: string): void {
    this.#gone ??= unavailable(what)
    this.#ready.reject(this.#gone)
    for (const waiting of this.#waiting.values()) waiting.reject(this.#gone)
  }
}

function unavailable(what: string): TollwayError {
  return new TollwayError({ code: 'signer_unavailable', message: `The signer ${what}; nothing was paid.` })
}

function absent(): never {
  throw unavailable('sent no signature')
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
