import type { Command } from 'commander'
import { existsSync } from 'node:fs'
import { describeSkew } from '../../../core/telemetry/clock-skew.ts'
import type { Probed, ProbedOffer } from '../../buying/probe.ts'
import { interruptible, printJson, withCommon, type CommonOptions } from '../shared/buying-options.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { methodOf, withServiceType, type ServiceOptions } from '../shared/service-request.ts'
import { renderTable } from '../output/table.ts'

type ProbeOptions = CommonOptions & ServiceOptions

/** Adds `tollway probe`. */
export function addProbe(program: Command, context: CommandContext): void {
  const { terminal } = context
  withCommon(
    withServiceType(
      program
        .command('probe')
        .description('show the price of a paid URL; never pays')
        .argument('<url>', 'address of a service, an API base or a storefront')
        .option('-X, --request <method>', 'method (default: GET, with --data POST)')
        .option('-d, --data <text>', 'request body')
        .option('-m, --model <model>', 'ask the price of a chat completion with this model'),
    ),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway probe https://seller.example.com/v1 --model qwen3.5:9b
  tollway probe https://seller.example.com --json
  tollway probe https://api.example.com/report -X POST -d '{"city":"Athens"}'

Needs no configuration; with one, tokens configured under assets are shown by name.
${EXIT_CODES_HELP}`,
    )
    .action(async (url: string, options: ProbeOptions) => {
      const { probe } = await import('../../buying/probe.ts')
      const { readInference } = await import('../../buying/endpoint.ts')
      const { BUILT_IN_ASSETS } = await import('../../../core/money/assets.ts')
      const { loadConfigForReading } = await import('../../config/load.ts')
      const named = options.config !== DEFAULT_CONFIG || existsSync(options.config)
      const assets = named ? loadConfigForReading(options.config, terminal.env).assets : BUILT_IN_ASSETS
      const { data } = options
      const isInference = options.type === 'inference' || options.type === 'agent'
      // An inference seller is asked for a completion; an http service as it is.
      const model = options.model ?? (isInference && data === undefined ? 'test' : undefined)
      const place = isInference && data !== undefined ? readInference(url).url : url
      const method = methodOf(options) ?? (options.type === 'http' && data === undefined ? 'GET' : undefined)
      const probed = await interruptible(terminal, (signal) =>
        probe({ url: place, method, data, model }, assets, signal),
      )
      if (options.json) printJson(terminal, asJson(probed))
      else if (probed.error) terminal.stderr(`${probed.error.message}\n`)
      if (!options.json) terminal.stdout(render(probed))
      const found = probed.offers.length > 0 || (probed.services?.length ?? 0) > 0
      context.end(found ? EXIT.done : EXIT.failed)
    })
}

function asJson({
  url,
  method,
  status,
  x402Version,
  offers,
  others,
  services,
  clockSkewSeconds,
  error,
}: Probed): object {
  return {
    url,
    method,
    status: status ?? null,
    x402_version: x402Version ?? null,
    offers: offers.map(({ payTo, amount, price, usd, ...rest }) => ({
      ...rest,
      amount: amount ?? null,
      price: price ?? null,
      usd: usd ?? null,
      pay_to: payTo,
    })),
    others,
    services:
      services?.map(({ name, ...rest }) => ({
        name,
        ...Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, value ?? null])),
      })) ?? null,
    clock_skew_seconds: clockSkewSeconds ?? null,
    error: error ? { code: error.code, message: error.message } : null,
  }
}

function render(probed: Probed): string {
  const { url, method, status, x402Version, offers, others, services, error } = probed
  const clock = describeSkew(probed.clockSkewSeconds)
  const head =
    status === 402
      ? `${method} ${url} asks for payment (x402 version ${x402Version ?? 'unknown'}).`
      : `${method} ${url} returned ${status ?? 'no response'} and does not ask for payment.${(services ?? []).length > 0 ? '' : ' Check the address: what costs money is often a path below it.'}`
  return [
    ...(error ? [] : [`${head}\n`]),
    ...(clock === undefined ? [] : [`Note: ${clock}.\n`]),
    ...(offers.length === 0 ? [] : [renderTable(HEADER, offers.map(row))]),
    ...(others.length === 0 ? [] : [`It also offers: ${others.join(', ')}.\n`]),
    ...(services === undefined || services.length === 0
      ? []
      : [
          renderTable(
            ['SERVICE', 'TYPE', 'MODEL', 'PRICE', 'NETWORK', 'ADDRESS'],
            services.map(({ name, type, model, price, network, endpoint }) =>
              [name, type, model, price, network, endpoint].map((cell) => cell ?? '-'),
            ),
          ),
        ]),
  ].join('\n')
}

const HEADER = ['OPTION', 'PRICE', 'USD', 'NETWORK', 'SCHEME', 'METHOD', 'PAID TO']

function row({ option, price, amount, token, usd, network, scheme, method, payTo }: ProbedOffer): string[] {
  const cost = price === undefined ? `${amount ?? '?'} units of ${token}` : `${price} ${token}`
  return [String(option), cost, usd === undefined ? '-' : `$${usd}`, network, scheme, method, payTo]
}
