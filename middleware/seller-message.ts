/** The seller's own words about a failed payment: cleaned for a header and the audit record, never put into an error message. */
import type { Receipt } from '../src/core/x402.ts'
import { headerText } from './answer-headers.ts'

/** The receipt's reason, else the text of an OpenAI-shaped or x402 v1 error body; printable ASCII, at most 256 characters. */
export function sellerMessage(body: Buffer, receipt: Receipt | undefined): string | undefined {
  const words = receipt?.errorReason ?? errorText(body.toString('utf8'))
  return words === undefined || words.trim() === '' ? undefined : headerText(words.trim())
}

function errorText(text: string): string | undefined {
  try {
    const json = JSON.parse(text) as unknown
    const error = field(json, 'error')
    const message = typeof error === 'string' ? error : field(error, 'message')
    return typeof message === 'string' ? message : undefined
  } catch {
    return undefined
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
