/** Which headers of an answer reach the client. */
import type { ServerResponse } from 'node:http'
import { property } from '../../src/core/property.ts'
import type { Reply } from '../../src/core/request/exchange.ts'
import { relayedHeaders } from '../../src/core/request/header-policy.ts'

const RATE_LIMITS = 'x-ratelimit-'

/** Prefix that LiteLLM puts on the headers of the provider behind it. */
const THEIRS = 'llm_provider-'

/**
 * Sets {@link relayedHeaders}. If the caller was sent our own rate limits, those of the upstream are added under
 * LiteLLM's names: a client that paces itself by `x-ratelimit-*` must see the limit that applies to it.
 */
export function setRelayedHeaders(res: ServerResponse, reply: Pick<Reply, 'headers' | 'kind'>): void {
  const limited = res.getHeaderNames().some((name) => name.startsWith(RATE_LIMITS))
  for (const [name, value] of relayedHeaders(reply)) {
    res.setHeader(limited && name.startsWith(RATE_LIMITS) ? `${THEIRS}${name}` : name, value)
  }
  const isStream = /^\s*text\/event-stream/i.test(String(reply.headers['content-type'] ?? ''))
  if (isStream && isCompressed(res)) forbidTransforms(res)
}

/** Whether `compression()` is mounted before: it gives every answer a `flush()`. */
function isCompressed(res: ServerResponse): boolean {
  return typeof property(res, 'flush') === 'function'
}

/** It would hold the events of a stream back until its buffer is full; it leaves alone what must not be transformed. */
function forbidTransforms(res: ServerResponse): void {
  const own = String(res.getHeader('cache-control') ?? '')
  if (/\bno-transform\b/i.test(own)) return
  res.setHeader('cache-control', own === '' ? 'no-transform' : `${own}, no-transform`)
}
