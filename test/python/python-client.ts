/** One of Python's clients in a process of its own, which makes one call after the other. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** The clients that `client.py` has. */
export const CLIENTS = ['openai', 'anthropic', 'langchain', 'litellm', 'pydantic-ai'] as const
export type ClientName = (typeof CLIENTS)[number]

/** What is asked, and how. */
export interface PythonCall {
  readonly url: string
  readonly key: string
  readonly model: string
  readonly prompt: string
  readonly how: 'whole' | 'stream' | 'tools' | 'schema' | 'leave'
}

/** What its user gets: an answer, or what is thrown. */
export interface PythonResult {
  readonly text?: string | null
  readonly cost?: number | null
  readonly reason?: string | null
  /** The class of what was thrown. */
  readonly error?: string
  readonly status?: number | null
  readonly message?: string
}

/** A started client. */
export interface PythonClient {
  call(call: PythonCall): Promise<PythonResult>
  close(): Promise<void>
}

/** Starts a client; it imports its package with the first call. */
export function startPythonClient(name: ClientName): PythonClient {
  const environment = process.env['PYTHON_ENVIRONMENT']
  if (environment === undefined) throw new Error('The packages are not installed: run npm run test:python')
  const child = spawn(join(environment, 'bin/python'), [join(import.meta.dirname, 'client.py'), name], {
    env: {
      PATH: process.env['PATH'],
      LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      LANGSMITH_TRACING: 'false',
      // Where no network namespace keeps it here, this does for all that goes by HTTP.
      HTTP_PROXY: 'http://127.0.0.1:9',
      HTTPS_PROXY: 'http://127.0.0.1:9',
      NO_PROXY: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const ended = once(child, 'close')
  return {
    async call(call) {
      child.stdin.write(`${JSON.stringify(call)}\n`)
      for (;;) {
        const { done, value } = await lines.next()
        if (done === true) throw new Error(`${name} ended: ${errors.slice(-2000)}`)
        // Some packages print to the output.
        if (value.startsWith('{')) return JSON.parse(value) as PythonResult
      }
    },
    async close() {
      child.stdin.end()
      await ended
    },
  }
}
