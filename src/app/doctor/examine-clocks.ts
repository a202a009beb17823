/** The clocks of sellers and networks against ours: a difference of minutes makes sellers refuse payments as expired. */
import { clockSkew, describeSkew } from '../../core/telemetry/clock-skew.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { examineNodes } from './examine-nodes.ts'
import { findingsOf, type Finding } from './finding.ts'
import { httpGet, type Got } from '../operations/http-get.ts'

const { ok, warning, skipped } = findingsOf('sellers')
const FIX = 'Set the clock of this machine (timedatectl set-ntp true), or report it to the seller.'

/** Reads an address; replaced in tests. */
export type Get = (url: string) => Promise<Got>

/**
 * One finding for each seller of a paid route, by the `Date` of an answer, and those of the nodes. Nothing is paid or asked for a price.
 * @param now our clock, milliseconds since the epoch
 */
export async function examineClocks(
  config: Pick<ResolvedConfig, 'routes' | 'chains'>,
  now: () => number,
  get: Get = httpGet,
): Promise<Finding[]> {
  const paid = config.routes.filter(({ payer }) => payer !== undefined)
  const origins = [...new Set(paid.map(({ apiBase }) => new URL(apiBase).origin))]
  const [nodes, ...sellers] = await Promise.all([
    examineNodes(config, now()),
    ...origins.map(async (origin) => await examineSellerClock(origin, now, get)),
  ])
  return [...nodes, ...sellers]
}

/** The clock of one seller, by any of its answers. */
export async function examineSellerClock(
  origin: string,
  now: () => number,
  get: Get = httpGet,
): Promise<Finding> {
  const got = await get(origin)
  const { host } = new URL(origin)
  if ('failure' in got) return skipped(`The clock of ${host} was not read: ${got.failure}.`)
  const skew = clockSkew(got.date, now())
  if (skew === undefined) return skipped(`The answer of ${host} names no date: its clock was not read.`)
  const difference = describeSkew(skew)
  return difference === undefined
    ? ok(`The clocks of ${host} and of this machine agree.`)
    : warning(`${host}: ${difference}.`, FIX)
}

/** The finding of a difference that was read with a price; none for a clock that agrees. */
export function clockFinding(place: string, skewSeconds: number | undefined): Finding[] {
  const difference = describeSkew(skewSeconds)
  return difference === undefined ? [] : [warning(`${place}: ${difference}.`, FIX)]
}
