/** A seller whose streams say one event a second until they are told to end. It runs in the process of the clients. */
import type { ServerResponse } from 'node:http'
import { serveOnLoopback } from '../src/io/transport/loopback.ts'

/** Milliseconds between two events of a stream. */
const GAP_MS = 1000

/** See the file's head. */
export interface SlowSeller {
  readonly url: string
  /** Ends every open stream well. */
  endAll(): void
  close(): Promise<void>
}

/** Starts the seller. Each event says when it was written, and which it is: see {@link EventReader}. */
export async function startSlowSeller(): Promise<SlowSeller> {
  const open = new Set<() => void>()
  const speak = (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    let sent = 0
    const say = (): void => {
      sent += 1
      response.write(event(`${performance.now()} ${sent}`))
    }
    const timer = setInterval(say, GAP_MS)
    const end = (): void => {
      clearInterval(timer)
      open.delete(end)
      sent += 1
      const last = event(`${performance.now()} ${sent}`).replace(
        '"finish_reason":null',
        '"finish_reason":"stop"',
      )
      response.end(`${last}data: [DONE]\n\n`)
    }
    open.add(end)
    response.once('close', () => {
      clearInterval(timer)
      open.delete(end)
    })
    say()
  }
  const server = await serveOnLoopback((request, response) => {
    request.resume()
    request.once('end', () => speak(response))
  })
  return {
    url: server.url,
    endAll() {
      for (const end of open) end()
    },
    close: () => server.close(),
  }
}

/** What one client's text tells: how long each event was under way, and whether none is missing between first and last. */
export class EventReader {
  #rest = ''
  /** Events so far. */
  count = 0
  /** How long the newest was under way, milliseconds. */
  lagMs = Number.NaN
  isWhole = false
  isInOrder = true

  push(text: string): void {
    const parts = (this.#rest + text).split('\n\n')
    this.#rest = parts.pop() ?? ''
    for (const part of parts) {
      this.isWhole = part === 'data: [DONE]'
      const [, writtenAt, number] = /"content":"([\d.]+) (\d+)"/.exec(part) ?? []
      if (number === undefined) continue
      this.count += 1
      this.isInOrder &&= Number(number) === this.count
      this.lagMs = performance.now() - Number(writtenAt)
    }
  }
}

function event(content: string): string {
  const choices = [{ index: 0, delta: { content }, finish_reason: null }]
  const chunk = { id: 'c', object: 'chat.completion.chunk', created: 7, model: 'm', choices }
  return `data: ${JSON.stringify(chunk)}\n\n`
}
