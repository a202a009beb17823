/** `tollway serve --obol`: turns x402-buyer's flags and their defaults into a configuration. */
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import { isLoopbackHost, parseListen, type ListenAddress } from '../../config/values/addresses.ts'

/** The flags as commander returns them; `undefined` for those not given. */
export interface ObolFlags {
  readonly configDir?: string | undefined
  readonly authsDir?: string | undefined
  /** x402-buyer's single file, when `--config` was given. */
  readonly config?: string | undefined
  readonly auths?: string | undefined
  readonly state?: string | undefined
  readonly listen?: string | undefined
  readonly reloadInterval?: string | undefined
}

/** Adds the flags to `serve`. */
export function addObolFlags(command: Command): Command {
  return command
    .option('--obol', "replace Obol's x402-buyer: takes its flags, and --config names its single file")
    .option('--config-dir <dir>', 'with --obol: directory with one JSON file per upstream')
    .option('--auths-dir <dir>', "with --obol: directory with each upstream's authorizations")
    .option('--auths <file>', 'with --obol: single file with all authorizations (/config/auths.json)')
    .option('--state <file>', 'with --obol: file that lists used authorizations (/state/consumed.json)')
    .option(
      '--reload-interval <time>',
      'with --obol: how often the files are reread, such as 5s; 0 for never (default: 5s)',
    )
}

/**
 * The configuration equivalent to the flags. The ledger and the audit file are placed next to the state file.
 * @param env `TOLLWAY_KEY` and `TOLLWAY_ADMIN_KEY` require a key from callers and for `/admin`; `OBOL_BUYER_USER_AGENT` as in x402-buyer
 * @param directory where relative paths start
 * @throws ConfigError for an invalid duration, or for an address that other machines can reach without a key
 */
export function obolConfig(
  flags: ObolFlags,
  env: Readonly<Record<string, string | undefined>>,
  directory: string,
): Record<string, unknown> {
  const open = openListen(flags, env)
  const listen = open ? `127.0.0.1:${open.port}` : listenAddress(flags.listen ?? '127.0.0.1:8402')
  const host = parseListen(listen)?.host
  if (host !== undefined && !isLoopbackHost(host) && env['TOLLWAY_KEY'] === undefined) {
    throw new ConfigError(
      `--listen ${flags.listen ?? listen} can be reached from other machines, and anyone there could spend the vouchers. ` +
        'Set TOLLWAY_KEY to a key that clients send (as api_key in LiteLLM), or listen on 127.0.0.1.',
    )
  }
  const userAgent = env['OBOL_BUYER_USER_AGENT'] ?? ''
  const state = flags.state ?? '/state/consumed.json'
  const place = state === '' ? directory : dirname(resolve(directory, state))
  return {
    listen,
    store: `sqlite:${join(place, 'tollway.db')}`,
    audit: { path: join(place, 'audit.jsonl') },
    payers: {
      obol: {
        kind: 'obol',
        mode: 'pool',
        config: flags.configDir ?? flags.config ?? '/config/config.json',
        auths: flags.authsDir ?? flags.auths ?? '/config/auths.json',
        ...(state === '' ? {} : { state }),
        reload_seconds: seconds(flags.reloadInterval ?? '5s'),
        ...(userAgent === '' ? {} : { user_agent: userAgent }),
      },
    },
    // As in x402-buyer, each upstream's file holds its price, and the seller's quote must match it exactly.
    policy: { max_usd_per_request: 'none' },
    // A caller that may spend may also see the spending: Prometheus scrapes with the same bearer key.
    ...(env['TOLLWAY_KEY'] === undefined
      ? {}
      : {
          callers: [{ id: 'obol', key: '${env:TOLLWAY_KEY}' }],
          ...(host === undefined || isLoopbackHost(host) ? {} : { metrics: { token: '${env:TOLLWAY_KEY}' } }),
        }),
    ...(env['TOLLWAY_ADMIN_KEY'] === undefined ? {} : { admin: { key: '${env:TOLLWAY_ADMIN_KEY}' } }),
  }
}

/**
 * The address to listen on instead of the configuration's, where x402-buyer's own manifest opens it to the pods of a cluster and
 * no key is set. Outside a pod such an address is refused.
 */
export function openListen(
  { listen }: ObolFlags,
  env: Readonly<Record<string, string | undefined>>,
): ListenAddress | undefined {
  const isPod = (env['KUBERNETES_SERVICE_HOST'] ?? '') !== ''
  if (listen === undefined || !isPod || env['TOLLWAY_KEY'] !== undefined) return undefined
  const address = parseListen(listenAddress(listen))
  return address === undefined || isLoopbackHost(address.host) ? undefined : address
}

/** What whoever starts it so should know. */
export function openWarning(listen: string): string {
  return (
    `warning: --listen ${listen} can be reached from other pods, and no key is set: anyone there could spend the vouchers. ` +
    'Set TOLLWAY_KEY to a key that clients send (as api_key in LiteLLM), or limit who reaches it by a NetworkPolicy.\n'
  )
}

/** In Go's notation `:8402` means all addresses. */
function listenAddress(text: string): string {
  return text.startsWith(':') ? `0.0.0.0${text}` : text
}

const UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 }

/** Parses the Go durations a reload interval needs: `5s`, `1m30s`, `500ms`, `0`. */
function seconds(text: string): number {
  if (text === '0') return 0
  const units = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (units.length === 0 || units.map(([part]) => part).join('') !== text) {
    throw new ConfigError(`--reload-interval ${text} is not a duration. Write it as 5s, 1m30s or 0.`)
  }
  return units.reduce((sum, [, count, unit = '']) => sum + Number(count) * (UNITS[unit] ?? 0), 0)
}
