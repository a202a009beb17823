import type { Usage } from '../src/core/usage.ts'
import { SseRelay } from './sse-relay.ts'

/** Reads the usage of a stream that is relayed untouched. */
export function usageTap(): { push(chunk: Uint8Array): void; readonly usage: Usage | undefined } {
  const relay = new SseRelay({ splicer: undefined, shape: 'other', onTruncated: 'length' })
  return {
    push: (chunk) => void relay.push(chunk),
    get usage() {
      return relay.usage
    },
  }
}
