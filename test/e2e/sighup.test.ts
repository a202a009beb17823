/** The real process and SIGHUP: what is in force changes without a restart, and a mistake changes nothing. */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { ask, errorOf } from '../kit/gateway.ts'
import { completion } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { readyUrl, servePlace, type ServePlace } from '../kit/serve-process.ts'

let upstream: ScriptedSeller
let place: ServePlace

beforeEach(async () => {
  upstream = await startScriptedSeller(() => completion())
  place = servePlace(`
model_list: [{ model_name: m, api_base: "${upstream.apiBase}" }]
budgets: [{ name: calls, limit_requests: 1, window: lifetime }]
`)
})
afterEach(async () => {
  await upstream.close()
  place.remove()
})

/** The records of reloads, each with what matters of it. */
function reloads(): unknown[] {
  return readFileSync(place.audit, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ type }) => String(type).startsWith('config.'))
    .map(({ type, cause, changed }) => [type, cause, changed])
}

test('rule 2: a raised limit lets calls pass again, what was counted stays counted, and a mistake changes nothing', async () => {
  const gateway = place.start()
  onTestFinished(() => gateway.kill('SIGKILL'))
  const url = await readyUrl(gateway)
  const call = async (seed: number): Promise<Response> => await ask(url, { model: 'm', seed })
  expect((await call(1)).status).toBe(200)
  expect((await errorOf(await call(2))).code).toBe('budget_exhausted')

  const before = readFileSync(place.config, 'utf8')
  const hangUp = (): boolean => process.kill(gateway.pid, 'SIGHUP')
  writeFileSync(place.config, before.replace('limit_requests: 1', 'limit_requests: 2'))
  hangUp()
  await expect.poll(reloads).toEqual([['config.reloaded', 'signal', ['budgets.calls.limit_requests']]])
  expect((await call(3)).status).toBe(200)
  expect((await errorOf(await call(4))).code).toBe('budget_exhausted')

  writeFileSync(place.config, before.replace('limit_requests: 1', 'limit_requests: many'))
  hangUp()
  await expect.poll(() => reloads().length).toBe(2)
  expect(reloads()[1]).toEqual(['config.refused', 'signal', undefined])
  expect((await errorOf(await call(5))).code).toBe('budget_exhausted')
  expect(upstream.requests).toHaveLength(2)

  gateway.kill('SIGTERM')
  expect((await gateway.end()).code).toBe(0)
})
