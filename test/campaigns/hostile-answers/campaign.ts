/** Hostile paid answers to stock clients: each request is paid once, whatever the client makes of its answer. */
import { cash } from '../../../providers/cash.ts'
import { startGateway } from '../../kit/gateway.ts'
import { startScriptedSeller, type SellerHandler } from '../../kit/scripted-seller.ts'
import { challengeV2, OFFER } from '../../kit/seller-answers.ts'
import { Random } from '../crash/random.ts'
import { drawAnswer, sendHostile, type HostileAnswer } from './answers.ts'
import { CLIENTS, type Client } from './clients.ts'

/** What a campaign came to. */
export interface AnswerReport {
  /** For each client: its requests, those that it got an answer to, and attempts at the gateway. */
  readonly clients: ReadonlyMap<string, { asked: number; answered: number; attempts: number }>
  /** Requests that were not paid exactly once. */
  readonly notOnce: readonly string[]
}

/** How many clients ask at once. */
const PARALLEL = 16

const MARK = /request-\d+/

interface Case {
  readonly client: Client
  readonly stream: boolean
  readonly mark: string
  readonly answer: HostileAnswer
}

/** @param count answers for each client */
export async function runHostileAnswers(count: number, seed: number): Promise<AnswerReport> {
  const random = new Random(seed)
  const cases = Array.from({ length: count * CLIENTS.length }, (_, index): Case => {
    const client = CLIENTS[index % CLIENTS.length] ?? raise()
    const stream = random.chance(0.5)
    return { client, stream, mark: `request-${index}`, answer: drawAnswer(client.protocol, stream, random) }
  })
  return await runCases(cases)
}

/**
 * A large answer that breaks off after the client has had most of it: for all clients, not streamed. Every client meets both ends, a
 * reset and a text that is cut, or every second one the same.
 */
export async function runLargeAnswers(
  bytes: number,
  ends: 'both' | 'alternate' = 'both',
): Promise<AnswerReport> {
  const text = 'x'.repeat(bytes)
  const half = (start: string): Buffer => Buffer.from(`${start}${text}`)
  const starts = {
    chat: '{"choices":[{"message":{"content":"',
    messages: '{"content":[{"type":"text","text":"',
  }
  const cases = CLIENTS.flatMap((client, index) =>
    (ends === 'both' ? [true, false] : [index % 2 === 0]).map((cut): Case => {
      const headers = { 'content-type': 'application/json' }
      const faults = [cut ? 'reset' : 'cut text']
      const answer = { faults, status: 200, headers, body: half(starts[client.protocol]), cut }
      return { client, stream: false, mark: `request-${2 * index + Number(cut)}`, answer }
    }),
  )
  return await runCases(cases)
}

async function runCases(cases: readonly Case[]): Promise<AnswerReport> {
  const answers = new Map(cases.map(({ mark, answer }) => [mark, answer]))
  const paid = new Map<string, number>()
  const seller = await startScriptedSeller(answering(answers, paid))
  process.env['HOSTILE_ANSWERS_WALLET'] = `0x${'11'.repeat(32)}`
  const clients = new Map(CLIENTS.map(({ name }) => [name, { asked: 0, answered: 0, attempts: 0 }]))
  const names = new Map(cases.map(({ mark, client }) => [mark, client.name]))
  const gateway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:HOSTILE_ANSWERS_WALLET}', networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
      timeouts: { first_byte_seconds: 20, idle_seconds: 20, shutdown_seconds: 1 },
    },
    {
      payers: new Map([['base', cash()]]),
      first: () => [
        (req, _res, next) => {
          // Whoever asks again with another body would be another request: the mark is in the prompt.
          req.on('data', (bytes: Buffer) => {
            const counts = clients.get(names.get(MARK.exec(bytes.toString())?.[0] ?? '') ?? '')
            if (counts) counts.attempts += 1
          })
          next()
        },
      ],
    },
  )
  try {
    const left = [...cases]
    const worker = async (): Promise<void> => {
      for (let next = left.shift(); next; next = left.shift()) {
        const counts = clients.get(next.client.name) ?? raise()
        counts.asked += 1
        const isAnswered = await next.client.ask(gateway.url, next.mark, next.stream).then(
          () => true,
          () => false,
        )
        counts.answered += Number(isAnswered)
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, worker))
    const ready = await fetch(`${gateway.url}/health/ready`)
    if (ready.status !== 200) throw new Error(`the gateway is not ready afterwards: ${ready.status}`)
  } finally {
    await gateway.close()
    await seller.close()
  }
  return {
    clients,
    notOnce: cases.flatMap(({ mark, client, stream, answer }) => {
      const payments = paid.get(mark) ?? 0
      const how = `${client.name}${stream ? ', streamed' : ''}`
      return payments === 1 ? [] : [`${how}: ${payments} payments (${answer.faults.join('; ')})`]
    }),
  }
}

function answering(answers: ReadonlyMap<string, HostileAnswer>, paid: Map<string, number>): SellerHandler {
  return ({ payment, body }, response) => {
    if (payment === undefined) return challengeV2([OFFER])
    const mark = MARK.exec(body.toString())?.[0] ?? ''
    paid.set(mark, (paid.get(mark) ?? 0) + 1)
    return sendHostile(response, answers.get(mark) ?? raise())
  }
}

function raise(): never {
  throw new Error('the campaign asked for something that it did not draw')
}
