/** Talks to a running Obol x402-buyer: what it holds, and one paid call that it is to make. */
import { Agent, request } from 'undici'
import { z } from 'zod'
import { readBounded } from '../transport/upstream.ts'

/** The largest answer that is read, in bytes. */
const MAX_BYTES = 262_144

/** Longest wait for its state: it is on this machine or next to it. */
const STATUS_MS = 5_000

const STATUS = z.record(
  z.string(),
  z.object({ url: z.string(), remote_model: z.string().optional(), remaining: z.number() }),
)

/** One upstream of an x402-buyer, as its `/status` reports it. */
export interface SidecarUpstream {
  readonly name: string
  /** Where it sends requests: must be our shim. */
  readonly url: string
  /** Pre-signed authorizations left; counts expired ones and leaves held ones out. */
  readonly remaining: number
}

/** A running x402-buyer. */
export interface Sidecar {
  /**
   * The upstream that serves a model, `undefined` when it has none.
   * @throws when it does not answer, or with something else
   */
  upstream(model: string): Promise<SidecarUpstream | undefined>
  /**
   * Has it make one paid call.
   * @param headers forwarded by it to its upstream
   * @returns the status it answered with, when it is done
   */
  call(model: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<number>
  close(): Promise<void>
}

/** @param base its address, e.g. `http://127.0.0.1:8402`, without a trailing slash */
export function openSidecar(base: string): Sidecar {
  // It waits as long as the seller does; who calls decides how long that may be.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0, pipelining: 1 })
  return {
    async upstream(model) {
      const signal = AbortSignal.timeout(STATUS_MS)
      const answer = await request(`${base}/status`, { dispatcher, signal })
      const { bytes } = await readBounded(answer.body, MAX_BYTES, STATUS_MS)
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
      await readBounded(answer.body, MAX_BYTES, STATUS_MS)
      return answer.statusCode
    },
    close: () => dispatcher.destroy(),
  }
}
