/** One bounded GET, for looking at a service: never pays and follows no redirect. */

/** Longest wait for a service, milliseconds. */
const TIMEOUT_MS = 10_000
const MAX_BYTES = 1_048_576

/** An answer, or why there was none, in words. */
export type Got =
  | { readonly status: number; readonly body: string; readonly date?: string | undefined }
  | { readonly failure: string }

/** Reads an address; of a long body only the first MiB. */
export async function httpGet(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Got> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const answer = await fetch(url, { headers, redirect: 'manual', signal })
    const date = answer.headers.get('date') ?? undefined
    return { status: answer.status, body: await start(answer.body), date }
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError')
      return { failure: `no answer within ${TIMEOUT_MS / 1000} s` }
    return { failure: 'no connection' }
  }
}

async function start(body: ReadableStream<Uint8Array> | null): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  // Leaving the loop cancels the rest.
  for await (const chunk of body ?? []) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= MAX_BYTES) break
  }
  return Buffer.concat(chunks).toString('utf8', 0, MAX_BYTES)
}
