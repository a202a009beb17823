/** `npm run bench -- neighbours`: Tollway beside LiteLLM and Portkey's gateway, on this machine, in one run. */
import { readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { z } from 'zod'
import { Part } from '../child.ts'
import { GatewayFacts } from '../facts.ts'
import { measureBudget } from './measure-budget.ts'
import { measureUnpaid } from './measure-unpaid.ts'
import { neighboursReport } from './report.ts'
import { NeighboursResult } from './result.ts'
import { PORTKEY, startLitellm, startPortkey } from './start-peers.ts'

const RESULTS = new URL('../results/', import.meta.url)
const LOCK = new URL('../../test/litellm/requirements.lock', import.meta.url)

/** Measures, keeps the raw samples, and gives the figures as Markdown. */
export async function measureNeighbours(): Promise<string> {
  const startedAt = new Date()
  const upstream = await Part.start(
    new URL('upstream-process.ts', import.meta.url),
    null,
    z.strictObject({ url: z.string() }),
  )
  try {
    console.error('a budget and 100 calls at once ...')
    const budget = await measureBudget(upstream)
    console.error('unpaid requests ...')
    const unpaid = await unpaidWays(upstream.facts.url)
    const manifest: unknown = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    )
    const result = NeighboursResult.parse({
      date: startedAt.toISOString().slice(0, 10),
      node: process.versions.node,
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      tollway: z.object({ version: z.string() }).parse(manifest).version,
      litellm: /^litellm==(\S+)/m.exec(readFileSync(LOCK, 'utf8'))?.[1] ?? 'unknown',
      portkey: PORTKEY,
      unpaid,
      budget,
    })
    await mkdir(RESULTS, { recursive: true })
    const name = `neighbours-${startedAt.toISOString().slice(0, 19).replaceAll(':', '')}.json`
    await writeFile(new URL(name, RESULTS), `${JSON.stringify(result)}\n`)
    return `${neighboursReport(result)}\n\nRaw samples: \`bench/results/${name}\``
  } finally {
    await upstream.close()
  }
}

async function unpaidWays(upstream: string): Promise<NeighboursResult['unpaid']> {
  const api = `${upstream}/v1`
  const gateway = await Part.start(
    new URL('../gateway-process.ts', import.meta.url),
    { seller: api, upstream: api },
    GatewayFacts,
  )
  const litellm = await startLitellm({
    model_list: [
      { model_name: 'local', litellm_params: { model: 'openai/local', api_base: api, api_key: 'unused' } },
    ],
    router_settings: { num_retries: 0 },
  })
  const portkey = await startPortkey(new URL(upstream).hostname)
  try {
    const urls = { direct: upstream, tollway: gateway.facts.url, litellm: litellm.url, portkey: portkey.url }
    return await measureUnpaid(urls, upstream)
  } finally {
    await portkey.close()
    await litellm.close()
    await gateway.close()
  }
}
