import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { EventSourceParserStream } from 'eventsource-parser/stream'

/** The most chunks that {@link cut} makes: sizes may all be 0. */
const MAX_CHUNKS = 500

/** Cuts bytes into chunks of the given sizes; a size of 0 gives an empty chunk. */
export function cut(bytes: Buffer, sizes: Iterable<number>): Buffer[] {
  const chunks: Buffer[] = []
  let at = 0
  for (const size of sizes) {
    if (at >= bytes.length || chunks.length >= MAX_CHUNKS) break
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  chunks.push(bytes.subarray(at))
  return chunks
}

/** The events a client sees, read by eventsource-parser. */
export function eventsOf(bytes: Buffer): EventSourceMessage[] {
  const events: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => events.push(event) })
  parser.feed(bytes.toString('utf8'))
  return events
}

/** The events a client sees that reads with TextDecoderStream and EventSourceParserStream. */
export async function eventsOfStream(body: ReadableStream<BufferSource>): Promise<EventSourceMessage[]> {
  const events: EventSourceMessage[] = []
  for await (const event of body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())) {
    events.push(event)
  }
  return events
}
