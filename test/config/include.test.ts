import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/app/config/load.ts'
import { problemsIn, temporaryDirectory } from './config-file.ts'

/** Writes files beside each other and gives the path of the first. */
function files(texts: Readonly<Record<string, string>>): string {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'more'))
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text)
  return join(directory, Object.keys(texts)[0] ?? '')
}

const ENTRY = (name: string): string =>
  `  - { model_name: ${name}, litellm_params: { model: openai/x, api_base: "http://127.0.0.1:1/v1" } }\n`

describe('include', () => {
  it('adds the lists of further files, and theirs in turn', () => {
    const path = files({
      'main.yaml': `include: [one.yaml, more/two.yaml]\nmodel_list:\n${ENTRY('a')}litellm_settings: { num_retries: 2 }\n`,
      'one.yaml': `include: three.yaml\nmodel_list:\n${ENTRY('b')}general_settings: { master_key: sk-1234 }\n`,
      'more/two.yaml': `model_list:\n${ENTRY('c')}`,
      'three.yaml': `model_list:\n${ENTRY('d')}router_settings: { cooldown_time: 9 }\n`,
    })
    const config = loadConfig(path, {})
    expect(config.routes.map(({ modelName }) => modelName)).toEqual(['a', 'b', 'd', 'c'])
    expect(config.router).toMatchObject({ numRetries: 2, cooldownMs: 9000 })
    expect(config.callers).toHaveLength(1)
    expect(config.ignoredKeys).toEqual([])
  })

  it('works for a file in our own form, and for one that only includes', () => {
    const path = files({
      'main.yaml': 'include: routes.yaml\n',
      'routes.yaml': 'model_list: [{ model_name: a, api_base: "http://127.0.0.1:1/v1" }]\n',
    })
    expect(loadConfig(path, {}).routes).toHaveLength(1)
  })

  it('places a mistake in the file where it stands', () => {
    const path = files({
      'main.yaml': `include: [one.yaml]\nmodel_list:\n${ENTRY('a')}`,
      'one.yaml': `model_list:\n${ENTRY('b')}  - model_name: c\n    api_base: nonsense\n`,
    })
    const [problem] = problemsIn(() => loadConfig(path, {}))
    expect(problem?.file?.endsWith('one.yaml')).toBe(true)
    expect([problem?.path, problem?.position?.line]).toEqual(['model_list[1].api_base', 4])
  })

  it.each([
    ['is given in a circle', { 'main.yaml': 'include: [main.yaml]\n' }, 'is included already'],
    ['names a missing file', { 'main.yaml': 'include: gone.yaml\n' }, 'there is no such file'],
    ['names no file', { 'main.yaml': 'include: [{ a: b }]\n' }, 'must be the path of a YAML file'],
    [
      'brings a second policy',
      { 'main.yaml': 'include: [b.yaml]\npolicy: {}\n', 'b.yaml': 'policy: { max_usd_per_request: "9" }\n' },
      'is also in',
    ],
  ])('is refused when it %s', (_title, texts, message) => {
    const [problem] = problemsIn(() => loadConfig(files(texts), {}))
    expect(problem?.message).toContain(message)
  })
})
