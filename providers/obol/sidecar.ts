/**
 * Pays through a running Obol x402-buyer whose upstream points at our shim. It provides the pre-signed authorizations; gate,
 * ledger, sending and receipts are ours.
 */
import { z } from 'zod'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import { TollwayError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import type { Timers } from '../../src/core/timers.ts'
import { openSidecar, type Sidecar, type SidecarUpstream } from '../../src/io/external-payers/obol-sidecar.ts'
import { SHIM_CALL_HEADER } from '../../src/io/external-payers/shim.ts'
import { externalPayer, payerUnavailable, type Driver } from '../external/external-payer.ts'
import { externalTimeout } from '../external/external-options.ts'
import { evmNetwork, networksOption, timersOption } from '../shared/payer-options.ts'
import { parseOptions } from '../../src/io/names/parse-options.ts'

/** Options of {@link obolSidecar}. */
export interface ObolSidecarOptions {
  /** The address of the x402-buyer, e.g. `http://127.0.0.1:8404`. */
  readonly url: string
  /** `remoteModel` of the upstream that pays. One payer per upstream. */
  readonly model: string
  /** Where the shim listens. The upstream's `url` in the x402-buyer's configuration must be `http://<host>:<port>`. */
  readonly shim: { readonly host: string; readonly port: number }
  /** Networks its authorizations are for: aliases such as `base`, or CAIP-2 ids. */
  readonly networks: readonly string[]
  /** The most payments in flight; default 1, because an x402-buyer may offer a held authorization again when it reloads. */
  readonly concurrency?: number | undefined
  /** The longest remaining validity of its authorizations, seconds; default 31 days, as they are signed for 30. */
  readonly maxValiditySeconds?: number | undefined
  /** Longest wait for a payment, milliseconds; default 10,000; at most 28,000. */
  readonly timeoutMs?: number | undefined
  readonly clock?: Clock | undefined
  readonly timers?: Timers | undefined
}

const SCHEMA = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'give the address of the x402-buyer, e.g. http://127.0.0.1:8404' })
    .transform((text) => text.replace(/\/+$/, '')),
  model: z.string('give the remoteModel of the upstream').min(1, 'give the remoteModel of the upstream'),
  shim: z.strictObject({ host: z.string(), port: z.int().min(0).max(65_535) }),
  networks: networksOption(evmNetwork, 'base'),
  concurrency: z.int('give a whole number').min(1, 'give at least 1').default(1),
  maxValiditySeconds: z
    .int('give whole seconds')
    .min(10, 'give at least 10 seconds')
    .default(31 * 86_400),
  timeoutMs: externalTimeout(10_000),
  clock: z
    .custom<Clock>((value) => typeof value === 'object' && value !== null && 'now' in value, 'give { now() }')
    .default(systemClock),
  timers: timersOption,
})

const PROGRAM = 'The x402-buyer'

/**
 * Starts the payer. The x402-buyer may start later: it is contacted for each payment.
 * @throws ConfigError for a mistake in the options, or a shim address that is in use
 */
export async function obolSidecar(options: ObolSidecarOptions): Promise<Provider> {
  const parsed = parseOptions('obol', SCHEMA, options)
  return await externalPayer({
    name: 'obol',
    program: PROGRAM,
    methods: ['eip3009', 'permit2'],
    ...parsed,
    driver: (shimUrl) => sidecarDriver(openSidecar(parsed.url, parsed.timeoutMs), parsed, shimUrl),
  })
}

function sidecarDriver(sidecar: Sidecar, { url, model }: z.output<typeof SCHEMA>, shimUrl: string): Driver {
  async function upstream(): Promise<SidecarUpstream> {
    const found = await sidecar.upstream(model).catch((cause: unknown) => {
      throw payerUnavailable(PROGRAM, `${url}/status does not respond like an x402-buyer`, cause)
    })
    if (!found) throw payerUnavailable(PROGRAM, `it has no upstream with remoteModel ${model}`)
    // An upstream with another url would pay for the empty request below.
    if (!leadsTo(found.url, shimUrl)) {
      throw payerUnavailable(
        PROGRAM,
        `the url of its upstream ${found.name} is not ${shimUrl}; set it, and reload`,
      )
    }
    return found
  }

  return {
    async pay(call, _quote, signal) {
      const { name, remaining } = await upstream()
      if (remaining === 0) throw exhausted(name)
      const status = await sidecar
        .call(model, { [SHIM_CALL_HEADER]: call.token }, signal)
        .catch((cause: unknown) => {
          throw payerUnavailable(PROGRAM, 'the connection to it broke', cause)
        })
      // An empty 502 means that it has no matching authorization: none at all, or none for these terms.
      if (status !== 502) return
      const left = await upstream()
      throw left.remaining === 0 ? exhausted(name) : unfitting(name, left.remaining)
    },
    async check() {
      await upstream()
    },
    close: () => sidecar.close(),
  }
}

/** Whether a URL leads to the shim. Loopback has several names, so any of them with the shim's port counts. */
function leadsTo(url: string, shimUrl: string): boolean {
  if (!URL.canParse(url)) return false
  const [there, here] = [new URL(url), new URL(shimUrl)]
  const isLoopback = ['127.0.0.1', 'localhost', '[::1]'].includes(there.hostname)
  return there.protocol === 'http:' && isLoopback && there.port === here.port
}

function exhausted(upstream: string): TollwayError {
  return new TollwayError({
    code: 'pool_exhausted',
    message: `The x402-buyer has no pre-signed authorization left for its upstream ${upstream}; nothing was sent.`,
    advice: ['Sign new ones, e.g. with `tollway buy --emit obol`.'],
    details: { payer_fault: 'pool_empty' },
  })
}

function unfitting(upstream: string, remaining: number): TollwayError {
  return new TollwayError({
    code: 'pool_exhausted',
    message: `The x402-buyer counts ${remaining} authorizations for its upstream ${upstream} but has none for the price, payee and token that the seller asks for now, or they have expired; nothing was sent.`,
    advice: [
      "Compare the upstream's price, payTo, asset and network with the seller's offer (`tollway probe`).",
    ],
    details: { payer_fault: 'terms_differ' },
  })
}
