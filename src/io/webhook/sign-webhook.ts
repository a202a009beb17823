/** Signs messages as Standard Webhooks does (standardwebhooks.com, version 1.0.0), which receivers have libraries for. */
import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'

/** The key of a secret: what follows `whsec_` is base64, anything else is its own bytes. */
export function webhookKey(secret: string): Buffer {
  return secret.startsWith(PREFIX)
    ? Buffer.from(secret.slice(PREFIX.length), 'base64')
    : Buffer.from(secret, 'utf8')
}

/**
 * The headers of a message: `webhook-id`, `webhook-timestamp`, and `webhook-signature` with `v1,` and the base64 of an HMAC-SHA256
 * over `id.timestamp.body`.
 * @param id the same for every attempt, so that a receiver can tell a repeat
 * @param at milliseconds since the epoch, of this attempt
 */
export function webhookHeaders(id: string, at: number, body: string, secret: string): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000))
  const digest = createHmac('sha256', webhookKey(secret))
    .update(`${id}.${timestamp}.${body}`)
    .digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${digest}` }
}
