/**
 * Random answers of all protocols, cut, merged and mislabelled, through Tollway and directly into the SDKs: what the clients read is
 * equal but for the cost and the documented repairs (docs/streams.md).
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import * as fc from 'fast-check'
import { streamOfJson } from '../../../src/core/stream/answer-conversion.ts'
import { anthropicAnswers, chatAnswers, responsesAnswers, textAnswers } from '../../kit/answers.ts'
import { startWorld, type World } from '../../kit/relay-world.ts'
import { Random } from '../crash/random.ts'
import { READERS, readAnswer, type Reader, type Reading } from './readers.ts'

/** What is done to an answer on the seller's side. */
export const DISTURBANCES = [
  'none',
  'mislabelled',
  'merged',
  'merged and mislabelled',
  'cut',
  'merged and cut',
] as const
type Disturbance = (typeof DISTURBANCES)[number]

/** What a campaign came to. */
export interface DifferentialReport {
  /** Answers compared, by client and disturbance. */
  readonly compared: ReadonlyMap<string, number>
  /** Answers that the clients read differently, with what they read. */
  readonly differences: readonly string[]
}

const ENDPOINTS = {
  chat: '/chat/completions',
  text: '/completions',
  responses: '/responses',
  anthropic: '/messages',
}
const ANSWERS = {
  chat: chatAnswers,
  text: textAnswers,
  responses: responsesAnswers,
  anthropic: anthropicAnswers,
}
const LABELS = ['text/plain', 'application/octet-stream', 'application/x-ndjson', ''] as const

interface Script {
  readonly body: Buffer
  readonly type: string
  /** Bytes before the connection is cut; `undefined` for the whole. */
  readonly cutAt: number | undefined
  /** Sizes of the chunks. */
  readonly chunk: number
}

/** Plays the same script to whoever asks. */
class Player {
  script: Script | undefined

  readonly play = (_request: IncomingMessage, response: ServerResponse): void => {
    if (!this.script) throw new Error('no script')
    const { body, type, cutAt, chunk } = this.script
    response.writeHead(200, type === '' ? {} : { 'content-type': type })
    const sent = body.subarray(0, cutAt)
    for (let at = 0; at < sent.length; at += chunk) response.write(sent.subarray(at, at + chunk))
    if (cutAt === undefined) response.end()
    // The end of the connection comes behind its bytes; a reset would take a different number of them along each time.
    else response.write('', () => response.socket?.end())
  }
}

/**
 * Compares.
 * @param count answers for each client, way to ask and disturbance
 */
export async function runDifferential(count: number, seed: number): Promise<DifferentialReport> {
  const random = new Random(seed)
  const [direct, seller] = [new Player(), new Player()]
  const server = createServer(direct.play)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const directUrl = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  const worlds = new Map<string, World>()
  const compared = new Map<string, number>()
  const differences: string[] = []
  const worldOf = async (kind: 'paid' | 'unpaid', reader: Reader): Promise<World> => {
    const name = `${kind} ${reader.kind} ${reader.stream}`
    const body = Buffer.from('{}')
    const made =
      worlds.get(name) ??
      (await startWorld({
        kind,
        endpoint: ENDPOINTS[reader.kind],
        seller: seller.play,
        exchange: {
          request: { stream: reader.stream, body },
          relay: { usageChunk: reader.stream ? 'asked' : 'forced' },
        },
      }))
    worlds.set(name, made)
    return made
  }
  try {
    for (const pair of READERS) {
      const answers = fc.sample<object>(ANSWERS[pair.json.kind], {
        seed: random.between(0, 2 ** 31),
        numRuns: count * 2 * DISTURBANCES.length,
      })
      for (const reader of [pair.json, pair.stream]) {
        for (const disturbance of DISTURBANCES) {
          for (let n = 0; n < count; n++) {
            const json = Buffer.from(JSON.stringify(withChoices(answers.pop() ?? {}, pair.choices)))
            const stream = streamOfJson(reader.kind, json.toString())
            if (!stream) throw new Error('a generated answer is none')
            const forms = { json, stream, isStream: reader.stream, random }
            const kind = disturbance === 'none' && random.chance(0.5) ? 'unpaid' : 'paid'
            const made = scriptsOf(disturbance, forms)
            direct.script = made.direct
            seller.script = made.seller
            const world = await worldOf(kind, reader)
            const through = await readAnswer(reader, world.url)
            const ownReader = made.directIsStream ? pair.stream : pair.json
            const own = await readAnswer(ownReader, directUrl)
            direct.script = { ...made.direct, cutAt: undefined }
            const whole = made.direct.cutAt === undefined ? own : await readAnswer(ownReader, directUrl)
            const name = `${reader.name}, ${disturbance}`
            compared.set(name, (compared.get(name) ?? 0) + 1)
            const fault = differenceOf({ disturbance, own, through, whole, script: made.seller })
            if (fault === undefined) continue
            differences.push(
              `${kind} ${name}: ${fault}\n  direct  ${JSON.stringify(own)}\n  through ${JSON.stringify(through)}\n  sent ${JSON.stringify(made.seller.body.subarray(0, made.seller.cutAt).toString())}`,
            )
          }
        }
      }
    }
  } finally {
    for (const world of worlds.values()) await world.close()
    server.closeAllConnections()
    server.close()
  }
  return { compared, differences }
}

interface Forms {
  readonly json: Buffer
  readonly stream: Buffer
  /** Whether the client asked for a stream. */
  readonly isStream: boolean
  readonly random: Random
}

/** What the seller of each side does; the direct one always keeps to the protocol, and is cut at the same byte. */
function scriptsOf(
  disturbance: Disturbance,
  { json, stream, isStream, random }: Forms,
): { readonly direct: Script; readonly seller: Script; readonly directIsStream: boolean } {
  const isMerged = disturbance.startsWith('merged')
  const sellerStreams = isStream !== isMerged
  const body = sellerStreams ? stream : json
  const chunk = random.between(1, 400)
  const typeOf = (streams: boolean): string => (streams ? 'text/event-stream' : 'application/json')
  const wrong = random.pick([typeOf(!sellerStreams), ...LABELS])
  const cutAt = disturbance.endsWith('cut') ? random.between(0, body.length - 1) : undefined
  const seller = {
    body,
    type: disturbance.endsWith('mislabelled') ? wrong : typeOf(sellerStreams),
    cutAt,
    chunk,
  }
  // A cut answer is compared with itself; a merged one with the form that the client asked for.
  const directIsStream = cutAt === undefined ? isStream : sellerStreams
  const direct = { body: directIsStream ? stream : json, type: typeOf(directIsStream), cutAt, chunk }
  return { direct, seller, directIsStream }
}

const TRUNCATED = new Set(['length', 'incomplete', 'max_tokens'])

/** One answer as it was read. */
interface Comparison {
  readonly disturbance: Disturbance
  /** Directly, cut where the seller's was. */
  readonly own: Reading
  readonly through: Reading
  /** Directly and whole. */
  readonly whole: Reading
  readonly script: Script
}

/** @returns what differs beyond the cost and the documented repairs */
function differenceOf({ disturbance, own, through, whole, script }: Comparison): string | undefined {
  if (!disturbance.endsWith('cut')) {
    return JSON.stringify(sorted(own)) === JSON.stringify(sorted(through)) ? undefined : 'not the same'
  }
  if (through.failed !== undefined) {
    // 400 paid_not_delivered, never a status that clients repeat; only for what held nothing, or JSON.
    if (!/paid_not_delivered|took the payment/.test(through.failed)) return 'an error that is not ours'
    const held = Object.keys(own.texts).length + Object.keys(own.reasoning).length
    return held === 0 ? undefined : 'content that is lost'
  }
  for (const part of ['texts', 'reasoning'] as const) {
    // Tollway also delivers a last event that is whole but for its line end.
    if (!goesOn(own[part], through[part]) || !goesOn(through[part], whole[part])) return `another ${part}`
  }
  // Some clients forget the end that they read when the connection breaks after it.
  const hasEnd = ENDS.test(script.body.subarray(0, script.cutAt).toString())
  for (const [index, finish] of Object.entries(through.finish)) {
    const before = own.finish[Number(index)]
    if (before === undefined ? !hasEnd && !TRUNCATED.has(finish) : before !== finish) return 'another end'
  }
  return undefined
}

/** Whether each text is the beginning of the longer one. */
function goesOn(short: Readonly<Record<number, string>>, long: Readonly<Record<number, string>>): boolean {
  return Object.entries(short).every(([index, text]) => (long[Number(index)] ?? '').startsWith(text))
}

const ENDS = /"(?:finish_reason|stop_reason)":"|response\.completed/

function withChoices(answer: object, most: number | undefined): object {
  if (most === undefined || !('choices' in answer) || !Array.isArray(answer.choices)) return answer
  return { ...answer, choices: answer.choices.slice(0, most) }
}

/** Choices in order; a choice without text has none, however it is spelt. */
function sorted(reading: Reading): object {
  const byIndex = (values: object): object =>
    Object.entries(values).toSorted(([a], [b]) => Number(a) - Number(b))
  const { texts, reasoning, tools, finish, usage, failed } = reading
  return [byIndex(texts), byIndex(reasoning), byIndex(tools), byIndex(finish), usage, failed]
}
