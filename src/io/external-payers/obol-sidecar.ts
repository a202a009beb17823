/** Client of a running Obol x402-buyer: reads its state, and has it make a paid call. */
import { Agent, request } from 'undici'
import { z } from 'zod'
import { readBounded } from '../transport/upstream.ts'

/** The largest response that is read, bytes. */
const MAX_BYTES = 262_144

const STATUS = z.record(
  z.string(),
  z.object({ url: z.string(), remote_model: z.string().optional(), remaining: z.number() }),
)

/** One upstream of an x402-buyer, as its `/status` reports it. */
export interface SidecarUpstream {
  readonly name: string
  /** Where it sends requests; must be our shim. */
  readonly url: string
  /** Pre-signed authorizations left, including expired ones and excluding held ones. */
  readonly remaining: number
}

/** A running x402-buyer. */
export interface Sidecar {
  /**
   * The upstream that serves a model, `undefined` when it has none.
   * @throws when it does not respond, or not like an x402-buyer
   */
  upstream(model: string): Promise<SidecarUpstream | undefined>
  /**
   * Has it make one paid call.
   * @param headers which it forwards to its upstream
   * @returns the status of its response, once it is complete
   */
  call(model: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<number>
  close(): Promise<void>
}

/**
 * Opens a client.
 * @param base its address, e.g. `http://127.0.0.1:8402`, without a trailing slash
 * @param statusMs longest wait for its status, milliseconds
 */
export function openSidecar(base: string, statusMs: number): Sidecar {
  // It responds only when the seller does, so the caller's signal sets the limit.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0, pipelining: 1 })
  return {
    async upstream(model) {
      const signal = AbortSignal.timeout(statusMs)
      const answer = await request(`${base}/status`, { dispatcher, signal })
      const { bytes } = await readBounded(answer.body, MAX_BYTES, statusMs)
      const upstreams = STATUS.parse(JSON.parse(bytes.toString('utf8')))
      for (const [name, { url, remote_model: remote = name, remaining }] of Object.entries(upstreams)) {
        if (remote === model) return { name, url, remaining }
      }
      return undefined
    },
    async call(model, headers, signal) {
      const answer = await request(`${base}/v1/chat/completions`, {
        dispatcher,
        method: 'POST',
        signal,
        headers: { 'content-type': 'application/json', 'accept-encoding': 'identity', ...headers },
        body: JSON.stringify({ model: `paid/${model}`, messages: [] }),
      })
      await readBounded(answer.body, MAX_BYTES, statusMs)
      return answer.statusCode
    },
    close: () => dispatcher.destroy(),
  }
}
