/** Pays through AgentCash's own program, which keeps the key: as one server (`mcp`), or as a command per payment (`cli`). */
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { homedir } from 'node:os'
import { z } from 'zod'
import { findNetwork } from '../../src/core/money/assets.ts'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { formatUsd } from '../../src/core/money/money.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import type { Quote } from '../../src/core/policy/gate.ts'
import type { Timers } from '../../src/core/timers.ts'
import { agentcashCli } from '../../src/io/external-payers/agentcash-cli.ts'
import { agentcashMcp } from '../../src/io/external-payers/agentcash-mcp.ts'
import {
  findAgentcash,
  type Agentcash,
  type AgentcashProgram,
} from '../../src/io/external-payers/agentcash-program.ts'
import { externalTimeout } from '../external/external-options.ts'
import { evmNetwork, networksOption, timersOption } from '../shared/payer-options.ts'
import { externalPayer, payerUnavailable, type Driver } from '../external/external-payer.ts'
import { parseOptions } from '../../src/io/names/parse-options.ts'

/** Options of {@link agentcashProgram}. */
export interface AgentcashProgramOptions {
  readonly mode: 'mcp' | 'cli'
  /** Absolute path of the installed program. */
  readonly binary: string
  /** Networks it may pay on; default Base, the only EVM network that AgentCash supports. */
  readonly networks?: readonly string[] | undefined
  /** Directory that holds `.agentcash`; default the home directory. */
  readonly home?: string | undefined
  /** Further arguments for every start, e.g. `--dev`. */
  readonly args?: readonly string[] | undefined
  /** The most payments in flight; default 8 (`mcp`) or 2 (`cli`, 185 MB each). */
  readonly concurrency?: number | undefined
  /** Longest wait for a payment, milliseconds; default 25,000; at most 28,000. */
  readonly timeoutMs?: number | undefined
  /** The environment from which PATH and a few more variables are passed on; default this process's. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly clock?: Clock | undefined
  readonly timers?: Timers | undefined
}

const SCHEMA = z.strictObject({
  mode: z.enum(['mcp', 'cli'], 'give mcp or cli'),
  binary: z
    .string('give the path of the installed agentcash')
    .min(1, 'give the path of the installed agentcash'),
  networks: networksOption(evmNetwork, 'base').prefault(['base']),
  home: z
    .string()
    .min(1)
    .default(() => homedir()),
  args: z.array(z.string()).default([]),
  concurrency: z.int('give a whole number').min(1, 'give at least 1').optional(),
  timeoutMs: externalTimeout(25_000),
  env: z.record(z.string(), z.string().optional()).default(() => process.env),
  clock: z
    .custom<Clock>((value) => typeof value === 'object' && value !== null && 'now' in value, 'give { now() }')
    .default(systemClock),
  timers: timersOption,
})

const PROGRAM = 'AgentCash'

/** AgentCash keeps its request open until the charge is closed; when it gives up after that has no effect. */
const CALL_TIMEOUT_MS = 3_600_000

/**
 * Starts the payer. AgentCash itself starts with the first payment.
 * @throws ConfigError for a mistake in the options, a missing binary, or a missing package
 */
export async function agentcashProgram(options: AgentcashProgramOptions): Promise<Provider> {
  const parsed = parseOptions('agentcash', SCHEMA, options)
  const { mode, binary, home, args, env, timers } = parsed
  const program = findAgentcash(binary, home, args, env)
  const agentcash = mode === 'mcp' ? await agentcashMcp(program, timers) : agentcashCli(program)
  return await externalPayer({
    name: 'agentcash',
    program: PROGRAM,
    methods: ['eip3009'],
    networks: parsed.networks,
    concurrency: parsed.concurrency ?? (mode === 'mcp' ? 8 : 2),
    timeoutMs: parsed.timeoutMs,
    clock: parsed.clock,
    timers,
    driver: () => driverOf(agentcash, program),
  })
}

function driverOf(agentcash: Agentcash, { file }: AgentcashProgram): Driver {
  return {
    async pay(call, quote, signal) {
      const network = findNetwork(quote.asset.network)?.alias ?? quote.asset.network
      const asked = { url: call.url, network, maxUsd: ceilingOf(quote), timeoutMs: CALL_TIMEOUT_MS }
      const cause = await agentcash.fetch(asked, signal).catch((error: unknown) => {
        throw payerUnavailable(PROGRAM, 'it cannot be run', error)
      })
      if (cause !== undefined) throw failure(cause, quote, call.wallet)
    },
    async check() {
      // It holds the wallet itself: whether it can pay shows when it does.
      await access(file, constants.R_OK).catch((error: unknown) => {
        throw payerUnavailable(PROGRAM, `its program ${file} is gone or cannot be read`, error)
      })
    },
    close: () => agentcash.close(),
  }
}

/** AgentCash treats every token as USDC, so its ceiling is the amount read as USDC. */
function ceilingOf({ amount }: Quote): string {
  return formatUsd(amount)
}

function failure(cause: string, { asset }: Quote, wallet: string | undefined): TollwayError {
  if (cause === 'insufficient_balance') {
    return new TollwayError({
      code: 'insufficient_funds',
      message: `The AgentCash wallet${wallet === undefined ? '' : ` ${wallet}`} cannot cover the quote on ${asset.network}; nothing was sent.`,
      advice: ['Fund it with `agentcash fund`, and check it with `agentcash balance`.'],
      details: { payer_fault: cause, ...(wallet === undefined ? {} : { wallet }) },
    })
  }
  return payerUnavailable(PROGRAM, `it gave up (${cause})`)
}
