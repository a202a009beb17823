/** A gateway counts what it refuses at the door, and writes the last interval when it stops. */
import { expect, test } from 'vitest'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { DEFAULT_EACH } from '../../src/io/audit/refusal-tally.ts'
import { startGateway } from '../kit/gateway.ts'

test('refusals of every kind are counted, and the record of an interval survives the shutdown', async () => {
  const lines: string[] = []
  const tollway = await startGateway(
    { model_list: [{ model_name: 'm', api_base: 'http://127.0.0.1:9/v1' }], log: { level: 'info' } },
    { writeLog: (line) => lines.push(line) },
  )
  const post = async (headers: Record<string, string>, body: string): Promise<number> => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body }
    const response = await fetch(`${tollway.url}/v1/chat/completions`, init)
    await response.arrayBuffer()
    return response.status
  }
  const kinds = [
    [403, { origin: 'https://evil.example' }, '{"model":"m"}'],
    [404, {}, '{"model":"nobody"}'],
    [415, { 'content-encoding': 'gzip' }, 'x'],
    [400, {}, '{"model"'],
  ] as const
  try {
    for (let n = 0; n < DEFAULT_EACH + 4; n += 1) {
      for (const [status, headers, body] of kinds) expect(await post(headers, body)).toBe(status)
    }
    const path = tollway.gateway.parts.config.audit.path
    await tollway.gateway.close()
    const records = await tollway.audit()
    const counted = records.filter(({ type }) => type === 'requests.refused')
    expect(counted.map(({ status, count }) => `${String(status)} ${String(count)}`).toSorted()).toEqual([
      '400 4',
      '403 4',
      '404 4',
      '415 4',
    ])
    expect(records.filter(({ type }) => type === 'request')).toHaveLength(4 * DEFAULT_EACH)
    expect(records.at(-1)).toMatchObject({ type: 'instance.closed' })
    expect(await verifyAudit(path)).toMatchObject({ ok: true })
    const logged = lines.filter((line) => line.includes('"msg":"request"'))
    expect(logged).toHaveLength(4 * DEFAULT_EACH)
    expect(lines.filter((line) => line.includes('have no record of their own'))).toHaveLength(4)
  } finally {
    await tollway.close()
  }
})
