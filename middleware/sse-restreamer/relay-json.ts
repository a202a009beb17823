/** Answers that the client gets as JSON: the seller's JSON with its cost set, or JSON made from its stream. */
import { JsonText } from '../../src/core/json/json-text.ts'
import { scanInSteps, type Member } from '../../src/core/json/json-scan.ts'
import { answerInSteps } from '../../src/core/stream/answer-conversion.ts'
import type { AnswerKind } from '../../src/core/stream/stream-json.ts'
import { USAGE_MEMBERS, usageIn } from '../../src/core/stream/usage.ts'
import { ResponseFromEvents } from './answer-from-events.ts'
import { assertPaidResponse, emptyStream } from './paid-answer.ts'
import type { RelaySession } from './relay-session.ts'
import { brokenOff } from '../../src/core/stream/truncation.ts'

/**
 * Sets the cost as the answer arrives. A small answer is buffered, so that it can still get an error status if it
 * breaks off; a large one is sent in chunks, because its length is not known.
 * @throws TollwayError `paid_not_delivered` for one that broke off before anything was sent, or is not an answer
 */
export async function relayJson(ends: RelaySession): Promise<void> {
  const splicer = ends.splicer()
  const text = new JsonText()
  const held: Uint8Array[] = []
  let size = 0
  let opened = false
  try {
    for await (const chunk of ends.slices()) {
      const bytes = splicer.push(chunk)
      text.push(chunk)
      if (opened) {
        await ends.client.write(bytes)
        continue
      }
      held.push(bytes)
      size += chunk.length
      if (size <= ends.settings.maxJsonBytes) continue
      opened = true
      ends.open({ 'content-length': undefined })
      for (const slice of held.splice(0)) await ends.client.write(slice)
    }
    // A normal end would look delivered, both to us and to anything that counts the client's attempts.
    if (opened && !ends.stopped && !text.isWhole) throw new SyntaxError('the JSON of the answer is not whole')
  } catch (error) {
    ends.broke(error)
    if (!opened) throw brokenOff(error)
    await ends.cut()
    return
  }
  if (ends.stopped) return
  if (opened) ends.end()
  else await send(ends, await ends.share.whole(held), text.isWhole)
}

/**
 * Sends the complete stream as the JSON answer that the client asked for.
 * @throws TollwayError `paid_not_delivered` if it contains no answer, or if it broke off and the operator chose
 * errors
 */
export async function relayEventsAsJson(ends: RelaySession, kind: AnswerKind): Promise<void> {
  const { exchange, settings } = ends
  const answer = new ResponseFromEvents(kind, ends.maxConvertedBytes)
  const waits = exchange.relay.usageChunk !== undefined
  const chunks = ends.slices()
  let broken = false
  let cancel: (() => void) | undefined
  try {
    for (let step = await chunks.next(); step.done !== true; step = await chunks.next()) {
      if (!(await ends.share.steps(answer.push(step.value)))) continue
      // Usage that was asked for may follow the end.
      if (!waits || !answer.awaitsUsage) break
      cancel ??= ends.letGoSoon()
    }
  } catch (error) {
    broken = !answer.ended
    if (broken) ends.broke(error)
  }
  cancel?.()
  void ends.linger(chunks)
  const end = await ends.share.steps(answer.end(broken, ends.fallback()))
  ends.noteUsage(answer.usage)
  exchange.relay.truncated = end.truncated
  ends.noteStreamError(answer.sellerError)
  if (ends.stopped) return
  if (!end.json) throw emptyStream(ends, answer.sellerError)
  if (end.truncated && settings.onTruncated === 'error') throw brokenOff()
  exchange.record.details['converted'] = 'sse_to_json'
  if (end.truncated) await exchange.payment.run?.lost()
  const body: Uint8Array[] = []
  for await (const piece of ends.share.pieces(answerInSteps(end.json))) body.push(piece)
  await sendWhole(ends, await ends.share.whole(body), true, {
    'content-type': 'application/json',
    ...(end.truncated ? { 'x-tollway-truncated': 'true' } : {}),
  })
}

/**
 * Sends a complete JSON answer, with its cost set if it was paid, or is billed to a key.
 * @param isWhole whether it is JSON that clients can read
 */
export async function sendWhole(
  ends: RelaySession,
  body: Buffer,
  isWhole: boolean,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  await send(ends, await ends.spliced(body), isWhole, headers)
}

async function send(
  ends: RelaySession,
  body: Buffer,
  isWhole: boolean,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const members = await ends.share.steps(scanInSteps(body))
  assertPaidResponse(ends, body, isWhole, members)
  await ends.share.turn()
  noteUsage(ends, body, members)
  ends.open({ ...headers, 'content-length': String(body.length) })
  await ends.client.write(body)
  ends.end()
}

/** Longer usage is none. */
const MAX_USAGE_BYTES = 65_536

function noteUsage(ends: RelaySession, body: Buffer, members: readonly Member[] = []): void {
  const given: Record<string, unknown> = {}
  for (const { key, valueStart, valueEnd } of members) {
    if (!USAGE_MEMBERS.has(key) || valueEnd - valueStart > MAX_USAGE_BYTES) continue
    given[key] = parse(body.subarray(valueStart, valueEnd))
  }
  ends.noteUsage(usageIn(given))
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
