/** The request that `tollway pay` and `tollway probe` send: their own options, and buy.py's spellings of them. */
import { readFileSync } from 'node:fs'
import { Option, type Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'

/** Options that say what to send. */
export interface ServiceOptions {
  readonly request?: string
  readonly data?: string
  readonly model?: string
  /** buy.py's name for `request`. */
  readonly method?: string
  readonly type?: ServiceType
}

/**
 * `inference`: the address is an API base, and a chat completion is asked for. `http`: the address is called as it is. `agent`:
 * buy.py's name for an agent, which is asked as inference is.
 */
export type ServiceType = 'http' | 'inference' | 'agent'

/** Adds `--type` and buy.py's `--method`. */
export function withServiceType(command: Command): Command {
  return command
    .addOption(
      new Option(
        '-t, --type <type>',
        'inference or agent: the address is an API base, ask it for a chat completion; http: call it as it is',
      ).choices(['http', 'inference', 'agent']),
    )
    .addOption(new Option('--method <method>', "buy.py's name for --request").hideHelp())
}

/** The method given by either name. @throws ConfigError if they differ */
export function methodOf({ request, method }: ServiceOptions): string | undefined {
  if (request !== undefined && method !== undefined && request.toUpperCase() !== method.toUpperCase())
    throw new ConfigError(`--request ${request} and --method ${method} differ. Give one of them.`)
  return request ?? method
}

/** The body of a chat completion, when none was given. */
function chatBody(model: string): string {
  return JSON.stringify({ model, messages: [{ role: 'user', content: 'ping' }] })
}

/** What to call, and with which body. @throws ConfigError */
export function targetOf(
  url: string,
  { type, data, model }: ServiceOptions,
  readInference: (text: string) => { readonly url: string },
): { readonly address: string; readonly data: Buffer | undefined } {
  const given = data === undefined ? undefined : readData(data)
  if (type === undefined || type === 'http') return { address: url, data: given }
  if (given) return { address: readInference(url).url, data: given }
  if (model === undefined)
    throw new ConfigError(`--type ${type} needs --model, or --data with the whole request; nothing was paid.`)
  return { address: readInference(url).url, data: Buffer.from(chatBody(model)) }
}

function readData(text: string): Buffer {
  if (!text.startsWith('@')) return Buffer.from(text, 'utf8')
  const path = text.slice(1)
  try {
    return readFileSync(path === '-' ? 0 : path)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new ConfigError(`--data ${text} cannot be read (${code}); nothing was paid.`, { cause })
  }
}
