/** Processes of their own for the world and the gateway, so that their work is not counted as the client's. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

/** A part of the benchmark that runs in a process of its own. */
export class Part<T> {
  readonly #process: ChildProcess
  /** What it said when it was ready. */
  readonly facts: T

  private constructor(child: ChildProcess, facts: T) {
    this.#process = child
    this.facts = facts
  }

  /** Starts a file that calls {@link servePart}; `input` reaches it as the argument of its `open`. */
  static async start<T>(file: URL, input: unknown, schema: z.ZodType<T>): Promise<Part<T>> {
    const child = fork(fileURLToPath(file), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    child.send({ input })
    const left = once(child, 'exit').then(([code]) => {
      throw new Error(`${file.pathname.split('/').at(-1)} ended at its start with ${code}`)
    })
    const [message] = await Promise.race([once(child, 'message'), left])
    left.catch(() => undefined)
    return new Part(child, schema.parse(message))
  }

  /** Asks it for a figure; see `figures` of {@link servePart}. */
  async ask(figure: string): Promise<number> {
    const answer = once(this.#process, 'message')
    this.#process.send({ figure })
    const [message] = await answer
    return z.number().parse(message)
  }

  /** Ends it. */
  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.disconnect()
    await exited
  }
}

/** What a part is while it runs. */
export interface Served {
  /** Told to the parent when the part is ready. */
  readonly facts: unknown
  /** What the parent may ask for, beside `cpu`: milliseconds of CPU time, user and system, of all threads so far. */
  readonly figures?: Readonly<Record<string, () => Promise<number>>> | undefined
  close(): Promise<void>
}

/** The other end: opens the part with what it is sent, answers the parent's questions, and closes with the parent. */
export async function servePart<I>(schema: z.ZodType<I>, open: (input: I) => Promise<Served>): Promise<void> {
  const parentLeft = once(process, 'disconnect')
  const [message] = await once(process, 'message')
  const { input } = z.object({ input: schema }).parse(message)
  const part = await open(input)
  const figures: Served['figures'] = {
    ...part.figures,
    cpu: () => {
      const { user, system } = process.cpuUsage()
      return Promise.resolve((user + system) / 1000)
    },
  }
  process.on('message', (question) => {
    const { figure } = z.object({ figure: z.string() }).parse(question)
    figures[figure]?.().then(
      (value) => process.send?.(value),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
  process.send?.(part.facts)
  await parentLeft
  await part.close()
}
