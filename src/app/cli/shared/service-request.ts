/** The request that `tollway pay` and `tollway probe` send: their own options, and buy.py's spellings of them. */
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

/** `inference`: the address is an API base, and a chat completion is asked for. `http`: the address is called as it is. */
export type ServiceType = 'http' | 'inference'

/** Adds `--type` and buy.py's `--method`. */
export function withServiceType(command: Command): Command {
  return command
    .addOption(
      new Option(
        '-t, --type <type>',
        'inference: the address is an API base, ask it for a chat completion; http: call it as it is',
      ).choices(['http', 'inference']),
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
export function chatBody(model: string): string {
  return JSON.stringify({ model, messages: [{ role: 'user', content: 'ping' }] })
}
