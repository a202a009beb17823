/** The default upstream, and a gateway that runs at the configured address. */
import { z } from 'zod'
import { addressOf, isLoopbackHost } from '../config/values/addresses.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { findingsOf, type Finding } from './finding.ts'
import { httpGet } from '../operations/http-get.ts'

/** Whether the upstream answers and takes the key. */
export async function examineUpstream(upstream: ResolvedConfig['upstream']): Promise<Finding[]> {
  const { ok, note, warning, problem } = findingsOf('upstream')
  if (!upstream) return [note('No upstream is configured: models without a route are refused.')]
  const { apiBase, apiKey } = upstream
  const got = await httpGet(
    `${apiBase}/models`,
    apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
  )
  if ('failure' in got)
    return [problem(`The upstream ${apiBase} gave no answer: ${got.failure}.`, 'Check upstream.api_base.')]
  if (got.status === 401 || got.status === 403)
    return [
      problem(`The upstream ${apiBase} refused the key (HTTP ${got.status}).`, 'Check upstream.api_key.'),
    ]
  if (got.status >= 400)
    return [
      warning(
        `The upstream ${apiBase} answered ${got.status} to GET /models.`,
        'Check that upstream.api_base ends as its documentation says, often in /v1.',
      ),
    ]
  return [ok(`The upstream ${apiBase} answers.`)]
}

const READY = z.object({
  status: z.string(),
  checks: z.record(z.string(), z.string()).optional(),
})

/** The gateway at `listen`, if one runs. */
export async function examineGateway({ listen }: Pick<ResolvedConfig, 'listen'>): Promise<Finding[]> {
  const { ok, note, warning, problem } = findingsOf('gateway')
  const base = addressOf(listen)
  const got = await httpGet(`${base}/health/ready`)
  if ('failure' in got) return [note(`No gateway runs at ${base} (${got.failure}).`)]
  const ready = READY.safeParse(asJson(got.body))
  if (!ready.success)
    return [
      problem(
        `Another program answers at ${base}.`,
        'Stop it, or choose another address with listen or serve --listen.',
      ),
    ]
  const failed = Object.entries(ready.data.checks ?? {}).filter(([, verdict]) => verdict !== 'ok')
  if (got.status === 200 && failed.length === 0) return [ok(`A gateway runs at ${base} and is ready.`)]
  const which = failed.map(([name]) => name).join(', ')
  return [
    warning(
      `A gateway runs at ${base} but reports ${ready.data.status}${which === '' ? '' : ` (${which})`}.`,
      'Its log says why.',
    ),
  ]
}

/** Who can read the metrics. */
export async function examineMetrics({
  listen,
  metrics,
}: Pick<ResolvedConfig, 'listen' | 'metrics'>): Promise<Finding[]> {
  const { ok, note, warning, problem } = findingsOf('metrics')
  const at = metrics.listen ?? listen
  const url = `${addressOf(at)}/metrics`
  const open: Finding[] =
    metrics.tokenDigest === undefined && !isLoopbackHost(at.host)
      ? [warning(`${url} can be read by anyone who reaches it.`, 'Set metrics.token or metrics.listen.')]
      : []
  const got = await httpGet(url)
  if ('failure' in got) return [...open, note(`Nothing serves ${url} now (${got.failure}).`)]
  if (got.status === 401) return [...open, ok(`${url} asks for its token.`)]
  if (got.status === 200 && got.body.includes('tollway_')) return [...open, ok(`${url} is served.`)]
  return [...open, problem(`${url} answered ${got.status}.`, 'Check metrics.listen.')]
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
