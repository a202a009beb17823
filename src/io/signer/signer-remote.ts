/**
 * A signer that holds its keys elsewhere (Obol's remote signer, REST): `GET /api/v1/keys`, `POST
 * /api/v1/sign/<address>/typed-data`, and `…/message` for sign-ins. It is asked only for the closed set of messages, and its
 * response is used only after it was verified as a signature of that message by that address.
 */
import { getAddress, hashMessage, recoverAddress, type Hex } from 'viem'
import { z } from 'zod'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import type { RemoteSignerReference } from '../../core/payer/key-reference.ts'
import { signInText, type SignInMessage } from '../../core/policy/sign-in.ts'
import { payerOf, toEip712, type TypedMessage } from '../../core/payer/typed-message.ts'
import { normalizeSignature } from './normalize-signature.ts'
import type { Signer } from './signer.ts'
import { TypedDigest } from './typed-digest.ts'
import { EVM_ADDRESS } from '../../core/evm.ts'

/** Parallel requests of a batch. */
const CONCURRENCY = 8
/** A signature is 140 bytes of JSON. */
const MAX_ANSWER_BYTES = 65_536

const KEYS = z.object({ keys: z.array(z.string().regex(EVM_ADDRESS)) })
const SIGNED = z.object({ signature: z.string().regex(/^(?:0x)?[0-9a-fA-F]{130}$/) })
const FAILED = z.object({ code: z.string().regex(/^[A-Z_]{1,40}$/) })

/** Options of {@link openRemoteSigner}. */
export interface RemoteSignerOptions {
  readonly signer: RemoteSignerReference
  /** Longest wait for one response, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
}

/**
 * Connects and determines the paying address.
 * @throws ConfigError when the signer does not have the requested key, or has several and none is named
 * @throws TollwayError `signer_unavailable` when it does not respond
 */
export async function openRemoteSigner(options: RemoteSignerOptions): Promise<Signer> {
  const { signer, timeoutMs = 10_000 } = options
  const remote = new RemoteSigner(signer, timeoutMs)
  try {
    await remote.open()
    return remote
  } catch (error) {
    await remote.close()
    throw error
  }
}

interface ToSign {
  /** Whose signature it must be. */
  readonly by: string
  readonly endpoint: 'typed-data' | 'message'
  readonly body: () => unknown
  readonly hash: () => Hex
}

class RemoteSigner implements Signer {
  readonly #options: RemoteSignerReference
  readonly #timeoutMs: number
  readonly #base: string
  readonly #digest = new TypedDigest()
  readonly #closing = new AbortController()
  #address = ''

  constructor(options: RemoteSignerReference, timeoutMs: number) {
    this.#options = options
    this.#timeoutMs = timeoutMs
    this.#base = options.url.replace(/\/+$/, '')
  }

  get address(): string {
    return this.#address
  }

  async open(): Promise<void> {
    const answer = KEYS.safeParse(await this.#ask('GET', '/api/v1/keys', undefined, this.#closing.signal))
    if (!answer.success) throw unavailable('did not return a list of keys')
    const keys = answer.data.keys.map((key) => key.toLowerCase())
    const wanted = this.#options.address?.toLowerCase()
    if (wanted !== undefined && !keys.includes(wanted)) {
      throw new ConfigError(
        `The remote signer has no key for ${wanted}; it has ${keys.join(', ') || 'none'}. Add the key to it, or correct address.`,
      )
    }
    const [only, ...others] = keys
    if (wanted === undefined && (only === undefined || others.length > 0)) {
      throw new ConfigError(
        keys.length === 0
          ? 'The remote signer has no keys. Add the paying key to it.'
          : `The remote signer has ${keys.length} keys. Set address to the one that pays: ${keys.join(', ')}.`,
      )
    }
    this.#address = wanted ?? only ?? ''
  }

  async check(): Promise<void> {
    const answer = KEYS.safeParse(await this.#ask('GET', '/api/v1/keys', undefined, this.#closing.signal))
    if (!answer.success) throw unavailable('did not return a list of keys')
    const has = answer.data.keys.some((key) => key.toLowerCase() === this.#address)
    if (!has) throw unavailable(`no longer has the key of ${this.#address}`)
  }

  async sign(typed: TypedMessage, signal: AbortSignal): Promise<Hex> {
    return await this.#signed(
      {
        by: payerOf(typed),
        endpoint: 'typed-data',
        body: () => toEip712(typed),
        hash: () => this.#digest.of(typed),
      },
      signal,
    )
  }

  async signIn(message: SignInMessage, signal: AbortSignal): Promise<Hex> {
    const text = signInText(message)
    return await this.#signed(
      {
        by: message.address,
        endpoint: 'message',
        body: () => ({ message: text }),
        hash: () => hashMessage(text),
      },
      signal,
    )
  }

  async #signed({ by, endpoint, body, hash }: ToSign, signal: AbortSignal): Promise<Hex> {
    signal.throwIfAborted()
    if (this.#closing.signal.aborted) throw unavailable('is closed')
    if (by.toLowerCase() !== this.#address) throw unavailable('does not sign for this address')
    const path = `/api/v1/sign/${getAddress(this.#address)}/${endpoint}`
    const answer = await this.#ask('POST', path, body(), signal)
    const parsed = SIGNED.safeParse(answer)
    const signature = parsed.success ? normalizeSignature(parsed.data.signature) : undefined
    if (!signature) throw longerSignature(answer) ?? unavailable('did not return a signature of 65 bytes')
    const signedBy = await recoverAddress({ hash: hash(), signature }).catch(() => undefined)
    if (signedBy?.toLowerCase() !== this.#address) {
      throw unavailable('returned a signature that is not for this message by this address')
    }
    return signature
  }

  async signMany(
    typed: readonly TypedMessage[],
    signal: AbortSignal,
    onProgress?: (done: number) => void,
  ): Promise<readonly Hex[]> {
    const signatures: Hex[] = []
    const failed = new AbortController()
    const either = AbortSignal.any([signal, failed.signal])
    const queue = typed.entries()
    let done = 0
    const worker = async (): Promise<void> => {
      for (const [index, one] of queue) {
        signatures[index] = await this.sign(one, either)
        done += 1
        onProgress?.(done)
      }
    }
    const workers = Array.from({ length: CONCURRENCY }, async () => {
      try {
        await worker()
      } catch (error) {
        // The others stop immediately: a batch succeeds or fails as a whole.
        failed.abort(error)
        throw error
      }
    })
    const results = await Promise.allSettled(workers)
    const first = failed.signal.aborted ? failed.signal.reason : undefined
    if (first !== undefined) throw first
    for (const result of results) if (result.status === 'rejected') throw result.reason
    return signatures
  }

  close(): Promise<void> {
    this.#closing.abort()
    return Promise.resolve()
  }

  async #ask(method: 'GET' | 'POST', path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const { token } = this.#options
    const timeout = AbortSignal.timeout(this.#timeoutMs)
    try {
      const answer = await fetch(`${this.#base}${path}`, {
        method,
        // A redirect would hand the token to another host.
        redirect: 'error',
        headers: {
          accept: 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([signal, timeout, this.#closing.signal]),
      })
      const text = await readText(answer.body)
      if (answer.ok) return parse(text)
      throw unavailable(refusal(answer.status, parse(text)))
    } catch (error) {
      if (error instanceof TollwayError) throw error
      if (signal.aborted && !this.#closing.signal.aborted) throw signal.reason
      if (this.#closing.signal.aborted) throw unavailable('is closed')
      if (timeout.aborted) throw unavailable(`did not answer within ${this.#timeoutMs} ms`)
      throw unavailable('cannot be reached')
    }
  }
}

const LONGER = z.object({ signature: z.string().regex(/^(?:0x)?(?:[0-9a-fA-F]{2}){66,}$/) })
/** Ends a signature of a contract that is not deployed yet. */
const ERC_6492 = /(?:6492){16}$/

/** A contract wallet's signature. Waiting does not help: tokens and facilitators want the 65 bytes of a key. */
function longerSignature(answer: unknown): TollwayError | undefined {
  const parsed = LONGER.safeParse(answer)
  if (!parsed.success) return undefined
  const digits = parsed.data.signature.replace(/^0x/, '')
  const kind = ERC_6492.test(digits) ? 'ERC-6492, of a contract that is not deployed yet' : 'ERC-1271'
  return new TollwayError({
    code: 'wallet_not_plain',
    message: `The remote signer returned a signature of ${digits.length / 2} bytes, which is that of a contract wallet (${kind}); nothing was paid.`,
    advice: ['Let the signer sign with the key of a plain wallet: that gives 65 bytes.'],
  })
}

/** Repeats only the signer's code, which is a fixed word, and never its message. */
function refusal(status: number, body: unknown): string {
  const failed = FAILED.safeParse(body)
  const code = failed.success ? `, ${failed.data.code}` : ''
  if (status === 401 || status === 403) return `refused the bearer token (status ${status}${code})`
  return `refused to sign (status ${status}${code})`
}

async function readText(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of body ?? []) {
    length += piece.byteLength
    if (length > MAX_ANSWER_BYTES) throw unavailable('sent a response that is too large')
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function unavailable(what: string): TollwayError {
  return new TollwayError({
    code: 'signer_unavailable',
    message: `The remote signer ${what}; nothing was paid.`,
    advice: ["Check that the signer at the payer's url is running, and check its token and keys."],
  })
}
