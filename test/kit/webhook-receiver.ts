/** An operator's webhook: checks the signature of what it is sent, as the Standard Webhooks say, and answers as told. */
import { createHmac } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect } from 'vitest'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'

export const WEBHOOK_SECRET = 'a-secret-of-the-tests'

/** A message as it came. */
export interface Received {
  readonly id: string
  readonly path: string
  readonly isSigned: boolean
  readonly body: {
    readonly type: string
    readonly text: string
    readonly timestamp: string
    readonly data: Readonly<Record<string, unknown>>
  }
}

/** Starts a receiver. */
export async function startWebhookReceiver() {
  const received: Received[] = []
  /** What the next requests are answered with; 204 when there is none left. */
  const answers: ((res: ServerResponse) => void)[] = []
  const answerTo = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    received.push(await read(req))
    const answer = answers.shift() ?? status(204)
    answer(res)
  }
  const server = await serveOnLoopback((req, res) => {
    void answerTo(req, res).catch(() => res.destroy())
  })
  return {
    url: `${server.url}/hook`,
    received,
    answers,
    /** The type, budget, subject and level of what came, once there are so many. */
    async levels(count: number): Promise<string[]> {
      await expect.poll(() => received.length).toBeGreaterThanOrEqual(count)
      return received.map(({ body: { type, data } }) =>
        [type, data['budget'], data['subject'], data['level']].join(' '),
      )
    },
    close: async () => await server.close(),
  }
}

/** Answers with a status and headers. */
export function status(code: number, headers: Record<string, string> = {}): (res: ServerResponse) => void {
  return (res) => void res.writeHead(code, headers).end('whatever it says')
}

/** Ends the connection without an answer. */
export const reset = (res: ServerResponse): void => void res.destroy()

async function read(req: IncomingMessage): Promise<Received> {
  let body = ''
  for await (const chunk of req) body += String(chunk)
  const header = (name: string): string => String(req.headers[name] ?? '')
  const signed = `${header('webhook-id')}.${header('webhook-timestamp')}.${body}`
  const digest = createHmac('sha256', WEBHOOK_SECRET).update(signed).digest('base64')
  return {
    id: header('webhook-id'),
    path: req.url ?? '',
    isSigned: header('webhook-signature') === `v1,${digest}`,
    body: JSON.parse(body) as Received['body'],
  }
}
