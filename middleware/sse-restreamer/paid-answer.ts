/** Prepares a paid answer for relaying: decodes it and recognises its type, so that every part of it can be read. */
import { pipeline, Readable, Transform } from 'node:stream'
import { isPlainText, judgeJsonAnswer, typeByBytes } from '../../src/core/stream/answer-check.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { DIRECT_ENDPOINT, keyedCostOf, type Exchange, type Reply } from '../../src/core/request/exchange.ts'
import { answerKind } from '../../src/core/stream/stream-json.ts'
import type { Member } from '../../src/core/json/json-scan.ts'
import { contentCoding, decodersFor } from '../../src/io/transport/content-coding.ts'
import { abandon } from './body-reader.ts'
import type { RelaySession } from './relay-session.ts'
import { isJsonType, mediaType } from '../../src/core/request/header-policy.ts'
import { cleanedMessage, messageHeader } from '../../src/payment/answer/seller-message.ts'
import { brokenOff } from '../../src/core/stream/truncation.ts'

/** Most bytes that a compressed answer may decode to. */
const MAX_DECODED_BYTES = 256 * 1024 * 1024

/** Real answers, even streams, compress to a thirtieth at most; a higher ratio is a decompression bomb. */
const MAX_GROWTH = 100

/** Most bytes of a plain text that are told. */
const MAX_TEXT_BYTES = 1024

/** Below this size, bytes, any ratio is harmless. */
const FREE_BYTES = 1024 * 1024

/**
 * An answer that gets a cost, as text. Sellers are asked for `identity`; one that compresses anyway could otherwise choose the
 * cost that its client reads.
 * @throws TollwayError `paid_not_delivered` for an unknown coding
 */
export function decodedReply(exchange: Exchange, reply: Reply): Reply {
  const coding = contentCoding(reply.headers)
  const isKeyed = reply.kind !== 'paid' && keyedCostOf(exchange) !== undefined
  if ((reply.kind !== 'paid' && !isKeyed) || coding === '' || exchange.endpoint === DIRECT_ENDPOINT)
    return reply
  const decoders = decodersFor(coding)
  if (!decoders && isKeyed) return reply
  if (!decoders) {
    abandon(reply.body)
    throw notDelivered('used a content coding that was not requested and is not supported')
  }
  const headers: Record<string, string | readonly string[]> = { ...reply.headers }
  delete headers['content-encoding']
  delete headers['content-length']
  const source = reply.body instanceof Readable ? reply.body : Readable.from(reply.body)
  let encoded = 0
  const before = passing((bytes) => {
    encoded += bytes
    return true
  })
  // Each of several codings is bounded, so that none has work to do for nothing.
  const steps = decoders.flatMap((decoder) => {
    let decoded = 0
    const after = passing((bytes) => {
      decoded += bytes
      return decoded <= MAX_DECODED_BYTES && (decoded <= FREE_BYTES || decoded <= MAX_GROWTH * encoded)
    })
    return [decoder, after]
  })
  // Errors in between reach the reader at the end of the pipeline.
  pipeline([source, before, ...steps], () => {})
  const body = steps.at(-1) ?? before
  return { ...reply, headers, body: reply.redactDecoded?.(body) ?? body }
}

/** Passes bytes on as long as their total is allowed. */
function passing(mayPass: (bytes: number) => boolean): Transform {
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      if (mayPass(chunk.length)) done(null, chunk)
      else done(new RangeError('the answer grows too much when it is decoded'))
    },
  })
}

/**
 * Sets the content type of a paid answer by its first bytes, whatever its header says.
 * @throws TollwayError `paid_not_delivered` for one that is empty, a web page, plain text, or broke off immediately
 */
export async function recognise(ends: RelaySession): Promise<void> {
  const { exchange, reply } = ends
  if (reply.kind !== 'paid' || exchange.endpoint === DIRECT_ENDPOINT) return
  const type = mediaType(reply.headers)
  let first: Uint8Array
  try {
    first = await ends.beginning()
  } catch (error) {
    ends.broke(error)
    throw brokenOff(error)
  }
  if (ends.stopped) return
  const kind = answerKind(exchange.endpoint)
  const found = typeByBytes(kind, type, first)
  if (found === undefined) {
    ends.letGo()
    throw notDelivered(
      type === 'text/html' || first.length > 0 ? 'answered with a web page' : 'answered with nothing',
    )
  }
  if (isPlainText(kind, found, first)) {
    ends.letGo()
    const text = Buffer.from(first.subarray(0, MAX_TEXT_BYTES)).toString('utf8')
    throw notDelivered('answered with plain text', text.trim(), reply.status)
  }
  if (found !== type) ends.retype(found)
  if (isJsonType(found)) ends.dropByteOrderMark()
}

/**
 * @throws TollwayError `paid_not_delivered` for a complete paid JSON answer that cannot be parsed, or is not an
 * answer: see `judgeJsonAnswer`
 * @param isWhole whether it is JSON that clients can read: see `JsonText`
 * @param members its top-level members
 */
export function assertPaidResponse(
  { reply, exchange }: RelaySession,
  body: Buffer,
  isWhole: boolean,
  members: readonly Member[] | undefined,
): void {
  if (reply.kind !== 'paid' || exchange.endpoint === DIRECT_ENDPOINT) return
  const verdict = judgeJsonAnswer(exchange.endpoint, body, members ?? null)
  // Clients would retry on such a text.
  if (!verdict && !isWhole) throw notDelivered('answered with JSON that cannot be read')
  if (!verdict) return
  if (verdict.what === 'an error') throw answeredWithError(reply.status, verdict.message)
  throw notDelivered(`answered with ${verdict.what}`, verdict.message, reply.status)
}

/**
 * The error for a paid stream that ended before there was anything to deliver.
 * @param message the seller's error message, if it ended with one
 */
export function emptyStream({ reply, exchange }: RelaySession, message: string | undefined): TollwayError {
  if (message !== undefined) return answeredWithError(reply.status, message)
  return exchange.record.details['stream_broke'] === undefined
    ? notDelivered('answered with nothing')
    : brokenOff()
}

function answeredWithError(status: number, message: string | undefined): TollwayError {
  return notDelivered(`answered with an error, though with status ${status}`, message, status)
}

function notDelivered(what: string, sellerMessage?: string, status = 200): TollwayError {
  const words = sellerMessage === undefined ? undefined : cleanedMessage(sellerMessage)
  return new TollwayError({
    code: 'paid_not_delivered',
    message: `The seller took the payment and ${what}.`,
    advice: ['Do not resend: it would be paid again.'],
    details: { seller_message: words ?? null },
    headers: messageHeader(sellerMessage),
    ...(words === undefined ? {} : { seller: { status, code: null, message: words } }),
  })
}
