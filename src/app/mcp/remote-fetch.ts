/**
 * How another MCP server is asked over HTTP. The SDK follows redirects and reads without bound, and what is asked may carry a payment.
 */

/** The most that is read of one answer, or of one event of a stream. Bytes. */
const MAX_ANSWER = 67_108_864

/**
 * `fetch` for the SDK's client: a redirect is an answer like any other, so that no payment reaches another address, and an answer
 * that is too long breaks off.
 * @param fetching replaced in tests
 */
export function remoteFetch(
  fetching: typeof fetch = fetch,
  most = MAX_ANSWER,
): (url: string | URL, init?: RequestInit) => Promise<Response> {
  return async (url, init) => {
    const answer = await fetching(url, { ...init, redirect: 'manual' })
    if (answer.status >= 300 && answer.status < 400) {
      await answer.body?.cancel()
      // Without its place: whoever reads this cannot follow it either.
      return new Response('the server redirects, and a call that may be paid follows no redirect', {
        status: 502,
      })
    }
    if (!answer.body) return answer
    const { status, statusText, headers } = answer
    const isStream = /^\s*text\/event-stream/i.test(headers.get('content-type') ?? '')
    return new Response(answer.body.pipeThrough(bounded(most, isStream)), { status, statusText, headers })
  }
}

/** Passes bytes on until too many came. @param isStream whether the count starts again with each event, so that a stream may last */
function bounded(most: number, isStream: boolean): TransformStream<Uint8Array, Uint8Array> {
  let count = 0
  let isLineEmpty = false
  let previous = 0
  return new TransformStream({
    transform(chunk, controller) {
      for (const byte of isStream ? chunk : []) {
        // CR LF is one end of a line.
        const isSecond = byte === LF && previous === CR
        previous = byte
        if (isSecond) continue
        const isEnd = byte === LF || byte === CR
        count = isEnd && isLineEmpty ? 0 : count + 1
        isLineEmpty = isEnd
      }
      if (!isStream) count += chunk.length
      if (count > most) controller.error(new Error(`the answer is longer than ${most} bytes`))
      else controller.enqueue(chunk)
    },
  })
}

const LF = 0x0a
const CR = 0x0d
