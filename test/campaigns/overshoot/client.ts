/**
 * A client process: sends all of its calls at once and prints what became of them as JSON. Argument: a {@link ClientTask}
 * as JSON. A call that is told to try again (503: nothing was sent) does so.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { Agent, request } from 'undici'

/** What a client does. */
export interface ClientTask {
  /** The gateways, asked in turn. */
  readonly urls: readonly string[]
  readonly key: string
  readonly tags: readonly string[]
  readonly calls: number
  /** Tells the calls of one client from those of the others. */
  readonly name: string
}

/** How the calls of a client ended. */
export interface ClientOutcome {
  readonly paid: number
  readonly stopped: number
  /** Attempts answered with 503, beside the calls. */
  readonly retried: number
  /** Anything else, by status and code. */
  readonly other: Readonly<Record<string, number>>
}

const MOST_TRIES = 200
const task = JSON.parse(process.argv[2] ?? '') as ClientTask
const agent = new Agent({
  // Of a few clients at one gateway: fewer than wait to be accepted, or the system resets those that come later.
  connections: 100,
  headersTimeout: 300_000,
  bodyTimeout: 300_000,
  connect: { timeout: 300_000 },
})
const ended = await Promise.all(Array.from({ length: task.calls }, (_, n) => call(n)))
await agent.close()

const other: Record<string, number> = {}
for (const { how } of ended) {
  if (how !== 'paid' && how !== 'stopped') other[how] = (other[how] ?? 0) + 1
}
const outcome: ClientOutcome = {
  paid: ended.filter(({ how }) => how === 'paid').length,
  stopped: ended.filter(({ how }) => how === 'stopped').length,
  retried: ended.reduce((sum, { tries }) => sum + tries - 1, 0),
  other,
}
process.stdout.write(`${JSON.stringify(outcome)}\n`)

async function call(n: number): Promise<{ readonly how: string; readonly tries: number }> {
  const { urls, key, tags, name } = task
  for (let tries = 1; ; tries += 1) {
    const { statusCode, headers, body } = await request(`${urls[n % urls.length]}/v1/chat/completions`, {
      method: 'POST',
      dispatcher: agent,
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${key}`,
        'x-tollway-tags': tags[(n >> 1) % tags.length] ?? '',
      },
      body: JSON.stringify({ model: 'paid/bare', messages: [{ role: 'user', content: `${name} ${n}` }] }),
    })
    const answer = await body.text()
    if (statusCode === 503 && tries < MOST_TRIES) {
      await wait(20 + Math.random() * 100)
      continue
    }
    if (statusCode === 200 && headers['x-tollway-spent'] === 'yes') return { how: 'paid', tries }
    const code = /"code":"([a-z_]+)"/.exec(answer)?.[1] ?? 'none'
    return {
      how: statusCode === 402 && code === 'budget_exhausted' ? 'stopped' : `${statusCode} ${code}`,
      tries,
    }
  }
}
