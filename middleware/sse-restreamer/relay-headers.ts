/** Which headers of an answer reach the client. */
import type { ServerResponse } from 'node:http'
import type { Reply } from '../../src/core/request/exchange.ts'
import { relayedHeaders } from '../../src/core/request/header-policy.ts'

const RATE_LIMITS = 'x-ratelimit-'

/** What LiteLLM puts before the headers of the provider behind it. */
const THEIRS = 'llm_provider-'

/**
 * Sets {@link relayedHeaders}. Where the caller was told our own limits, those of the upstream stand beside them under
 * LiteLLM's name for them: a client that paces itself by `x-ratelimit-*` must see the limit it is held to.
 */
export function setRelayedHeaders(res: ServerResponse, reply: Pick<Reply, 'headers' | 'kind'>): void {
  const limited = res.getHeaderNames().some((name) => name.startsWith(RATE_LIMITS))
  for (const [name, value] of relayedHeaders(reply)) {
    res.setHeader(limited && name.startsWith(RATE_LIMITS) ? `${THEIRS}${name}` : name, value)
  }
}
