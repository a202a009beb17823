/** Which headers of an answer reach the client. */
import type { ServerResponse } from 'node:http'
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
}
