/** One question to a Solana node over JSON-RPC. Asked once, never repeated, no redirect, bounded in time and size. */
import { z } from 'zod'
import { ChainError } from '../chain.ts'

const TIMEOUT_MS = 10_000
/** A thousand signatures take 300 kB; a node that sends more than this is broken. */
const MAX_ANSWER_BYTES = 8_388_608

/** How to reach a node. */
export interface SolanaNodeOptions {
  /** JSON-RPC over HTTP(S). It may contain a key and is never shown. */
  readonly rpc: string
  /** How long one answer may take, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
}

/** A node. */
export interface SolanaNode {
  /**
   * @param shape what the result must look like
   * @throws ChainError `timeout`, `unreachable`, `http_<status>`, `bad_answer`, `rpc_error`, `node_behind`
   */
  ask<T>(method: string, params: readonly unknown[], shape: z.ZodType<T>): Promise<T>
  /** Ends what is under way; later questions fail. */
  close(): void
}

const ANSWER = z.object({
  result: z.unknown(),
  error: z.object({ code: z.number(), message: z.string() }).optional(),
})

/** "Minimum context slot has not been reached" (Solana JSON-RPC, custom errors). */
const BEHIND = -32_016

/** Opens a node. Nothing is sent before it is asked something. */
export function openSolanaNode({ rpc, timeoutMs = TIMEOUT_MS }: SolanaNodeOptions): SolanaNode {
  const closing = new AbortController()
  let id = 0
  return {
    async ask(method, params, shape) {
      id += 1
      const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
      const answer = ANSWER.safeParse(await post(rpc, body, timeoutMs, closing.signal))
      if (!answer.success) throw new ChainError('bad_answer')
      const { error, result } = answer.data
      if (error) throw new ChainError(error.code === BEHIND ? 'node_behind' : 'rpc_error')
      const read = shape.safeParse(result)
      if (!read.success) throw new ChainError('bad_answer')
      return read.data
    },
    close: () => closing.abort(),
  }
}

/** @throws ChainError; what the platform says of a failure may hold the node's address */
async function post(rpc: string, body: string, timeoutMs: number, closing: AbortSignal): Promise<unknown> {
  const late = AbortSignal.timeout(timeoutMs)
  try {
    const response = await fetch(rpc, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      // A redirect would hand the key in the address to another host.
      redirect: 'error',
      signal: AbortSignal.any([late, closing]),
    })
    const text = await readText(response)
    if (!response.ok) throw new ChainError(`http_${response.status}`)
    return JSON.parse(text) as unknown
  } catch (error) {
    if (error instanceof ChainError) throw error
    if (late.aborted) throw new ChainError('timeout')
    throw new ChainError(error instanceof SyntaxError ? 'bad_answer' : 'unreachable')
  }
}

async function readText(response: Response): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of response.body ?? []) {
    size += piece.length
    if (size > MAX_ANSWER_BYTES) throw new ChainError('bad_answer')
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}
