/** Runs agentcash as a server: one child process that speaks MCP on its standard streams and is restarted when it ends. */
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { ConfigError } from '../../core/errors.ts'
import type { Timers } from '../../core/timers.ts'
import { causeOf, type Agentcash, type AgentcashProgram } from './agentcash-program.ts'

/** Delay before the first restart; doubled for each further one until a call succeeds. */
const FIRST_DELAY_MS = 500
const LONGEST_DELAY_MS = 60_000

/** Longest wait for a start, which normally takes about 3 s. */
const START_MS = 30_000

/** Effectively no timeout: the caller has its own deadline. */
const CALL_MS = 2 ** 31 - 1

type Sdk = typeof import('@modelcontextprotocol/sdk/client/index.js') &
  typeof import('@modelcontextprotocol/sdk/client/stdio.js')

/**
 * Loads the SDK. The server itself starts with the first payment.
 * @throws ConfigError when the SDK is not installed
 */
export async function agentcashMcp(program: AgentcashProgram, timers: Timers): Promise<Agentcash> {
  return new Supervisor(await loadSdk(), program, timers)
}

async function loadSdk(): Promise<Sdk> {
  try {
    const [client, stdio] = await Promise.all([
      import('@modelcontextprotocol/sdk/client/index.js'),
      import('@modelcontextprotocol/sdk/client/stdio.js'),
    ])
    return { ...client, ...stdio }
  } catch (cause) {
    throw new ConfigError(
      'mode: mcp needs the package @modelcontextprotocol/sdk, which is not installed. Run: npm install @modelcontextprotocol/sdk',
      { cause },
    )
  }
}

class Supervisor implements Agentcash {
  readonly #sdk: Sdk
  readonly #program: AgentcashProgram
  readonly #timers: Timers
  #running: Promise<Client> | undefined
  #delayMs = 0
  #isClosed = false
  #wake: (() => void) | undefined

  constructor(sdk: Sdk, program: AgentcashProgram, timers: Timers) {
    this.#sdk = sdk
    this.#program = program
    this.#timers = timers
  }

  async fetch(call: Parameters<Agentcash['fetch']>[0], signal: AbortSignal): Promise<string | undefined> {
    const client = await this.#client()
    signal.throwIfAborted()
    const result = await client.callTool(
      {
        name: 'fetch',
        arguments: {
          url: call.url,
          method: 'POST',
          body: '{}',
          timeout: call.timeoutMs,
          paymentProtocol: 'x402',
          paymentNetwork: call.network,
          // The tool takes a JSON number. The exact amount is checked when the payment comes back.
          maxAmount: Number(call.maxUsd),
        },
      },
      undefined,
      { signal, timeout: CALL_MS },
    )
    this.#delayMs = 0
    return failureOf(result)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#wake?.()
    const running = this.#running
    this.#running = undefined
    await running?.then((client) => client.close()).catch(() => {})
  }

  #client(): Promise<Client> {
    if (this.#isClosed) return Promise.reject(new Error('agentcash is closed'))
    if (this.#running) return this.#running
    const starting = this.#start(() => {
      if (this.#running === starting) this.#running = undefined
    })
    this.#running = starting
    return starting
  }

  /** @param ended called when this child has ended, possibly much later */
  async #start(ended: () => void): Promise<Client> {
    await this.#backOff()
    if (this.#isClosed) throw new Error('agentcash is closed')
    const client = new this.#sdk.Client({ name: 'tollway', version: '1' })
    const { command, args, env } = this.#program
    const transport = new this.#sdk.StdioClientTransport({
      command,
      args: [...args, 'server'],
      env: { ...env },
      stderr: 'ignore',
    })
    // The SDK's client has no events: this property is its only notification.
    Object.assign(client, { onclose: ended })
    try {
      await client.connect(transport, { timeout: START_MS })
      return client
    } catch (error) {
      ended()
      await client.close().catch(() => {})
      throw error
    }
  }

  /** Waits before a start if no call has succeeded since the previous one. */
  async #backOff(): Promise<void> {
    const delay = this.#delayMs
    this.#delayMs = Math.min(LONGEST_DELAY_MS, Math.max(FIRST_DELAY_MS, delay * 2))
    if (delay === 0) return
    await new Promise<void>((resolve) => {
      const cancel = this.#timers.after(delay, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
    this.#wake = undefined
  }
}

/** On failure the first block is a JSON object with a `cause` (`isError` is not set); on success it is our own response. */
function failureOf(result: unknown): string | undefined {
  const content: unknown =
    typeof result === 'object' && result !== null && 'content' in result ? result.content : []
  const first: unknown = Array.isArray(content) ? content[0] : undefined
  const text: unknown =
    typeof first === 'object' && first !== null && 'text' in first ? first.text : undefined
  if (typeof text !== 'string') return 'unknown'
  try {
    const parsed: unknown = JSON.parse(text)
    const isFailure = typeof parsed === 'object' && parsed !== null && 'cause' in parsed
    return isFailure ? causeOf(parsed) : undefined
  } catch {
    return 'unknown'
  }
}
