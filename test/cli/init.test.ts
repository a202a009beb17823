/** `tollway init`: entries for the programs around a gateway, put into their files without losing what stands there. */
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import * as fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { run } from '../../src/app/cli/run.ts'
import { applySettings, revertChanges } from '../../src/app/init/json-settings.ts'
import { openclawFile } from '../../src/app/init/openclaw.ts'
import { ownProgram, programNote } from '../../src/app/init/snippets.ts'
import { configFile, temporaryDirectory } from '../config/config-file.ts'
import { MAIN } from '../kit/program.ts'
import { tollway } from './tollway.ts'
import { FakeTerminal } from './fake-terminal.ts'

const CONFIG = `listen: 127.0.0.1:9402
callers: [{ id: claw, key: "\${env:CALLER}" }]
payers: { base: { kind: direct, key: "\${env:WALLET}", networks: [base-sepolia] } }
model_list:
  - { model_name: "paid/*", model: "*", api_base: https://seller.example.com/v1, payer: base }
  - { model_name: paid/qwen, model: qwen, api_base: https://seller.example.com/v1, payer: base }
  - { model_name: local, api_base: http://127.0.0.1:1/v1 }
`
const ENV = { CALLER: 'secret-of-the-caller', WALLET: `0x${'1'.repeat(64)}` }

let directory: string
let config: string
let file: string

beforeEach(() => {
  directory = temporaryDirectory()
  config = configFile(CONFIG, directory)
  file = join(directory, 'openclaw.json')
})

async function init(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const terminal = new FakeTerminal(ENV)
  const code = await run(['init', ...args], terminal)
  return { code, out: terminal.out, err: terminal.err }
}
const openclaw = (...args: string[]) =>
  init('openclaw', '--config', config, '--file', file, '--offline', ...args)
const read = (): string => readFileSync(file, 'utf8')
const backups = (): string[] => readdirSync(directory).filter((name) => name.endsWith('.bak'))

const THEIRS = `{
  // my own
  "agents": { "defaults": { "model": { "primary": "other/model" } } },
  "models": {
    "mode": "merge", /* keep */
    "providers": {
      "other": { "baseUrl": "https://other.example.com" },
    }
  }
}
`

describe('init openclaw', () => {
  it('shows the entry and writes nothing, and never shows a key', async () => {
    const { code, out } = await openclaw()
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual({
      models: {
        providers: {
          tollway: {
            baseUrl: 'http://127.0.0.1:9402/v1',
            apiKey: '${TOLLWAY_KEY}',
            api: 'openai-completions',
            models: ['paid/qwen', 'local'].map((id) => ({
              id,
              name: id,
              contextWindow: 128000,
              maxTokens: 4096,
            })),
          },
        },
      },
    })
    expect(existsSync(file)).toBe(false)
    expect(out).not.toContain('secret')
  })

  it.each([
    ['litellm', 'http://127.0.0.1:9402'],
    ['clawrouter', 'http://127.0.0.1:9402'],
  ])('as %s it names the root address, and the models are asked for', async (kind, baseUrl) => {
    const { out } = await openclaw('--kind', kind)
    expect(JSON.parse(out)).toEqual({
      models: { providers: { [kind]: { baseUrl, apiKey: '${TOLLWAY_KEY}' } } },
    })
  })

  it('makes the file where there is none, for its owner only', async () => {
    expect((await openclaw('--write')).code).toBe(0)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(JSON.parse(read())).toHaveProperty('models.providers.tollway.api', 'openai-completions')
    expect(backups()).toEqual([])
  })

  it('keeps comments, other entries and the mode, and leaves a copy of the file as it was', async () => {
    writeFileSync(file, THEIRS)
    chmodSync(file, 0o640)
    const { code, out } = await openclaw('--write')
    expect(code).toBe(0)
    expect(out).toContain('Set models.providers.tollway in ')
    expect(read()).toContain('// my own')
    expect(read()).toContain('/* keep */')
    expect(read()).toMatch(/"other": \{\s*"baseUrl": "https:\/\/other.example.com"\s*\}/)
    expect(statSync(file).mode & 0o777).toBe(0o640)
    expect(backups()).toHaveLength(1)
    expect(readFileSync(join(directory, backups()[0] ?? ''), 'utf8')).toBe(THEIRS)
  })

  it('asked twice, it changes nothing the second time', async () => {
    await openclaw('--write')
    const before = read()
    expect((await openclaw('--write')).out).toContain('already has these settings')
    expect(read()).toBe(before)
  })

  it('does not overwrite another choice unless told to, and brings it back', async () => {
    writeFileSync(file, THEIRS)
    const refused = await openclaw('--write', '--primary', 'paid/qwen')
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('agents.defaults.model.primary already has another value')
    expect(read()).toBe(THEIRS)
    expect((await openclaw('--write', '--primary', 'paid/qwen', '--replace')).code).toBe(0)
    expect(read()).toContain('"primary": "tollway/paid/qwen"')
    expect((await openclaw('--undo')).code).toBe(0)
    expect(read()).toContain('"primary": "other/model"')
    expect(read()).not.toContain('tollway')
    expect((await openclaw('--undo')).out).toContain('nothing to undo')
  })

  it.each([
    ['there was no file', undefined],
    ['the file was empty', ''],
    ['the file had comments, other entries and no line end', THEIRS.trimEnd()],
  ])('leaves nothing behind on --undo where %s', async (_what, before) => {
    if (before !== undefined) writeFileSync(file, before)
    const files = readdirSync(directory)
    await openclaw('--write')
    await openclaw('--write', '--kind', 'clawrouter', '--primary', 'paid/qwen', '--replace')
    const { code, out } = await openclaw('--undo')
    expect([code, out]).toEqual([0, expect.stringContaining('Nothing of tollway is left')])
    expect(readdirSync(directory)).toEqual(files)
    if (before !== undefined) expect(read()).toBe(before)
  })

  it('edited since, only our values go, with the objects made for them, and the copies stay', async () => {
    writeFileSync(file, '{"mine": 1}\n')
    await openclaw('--write', '--primary', 'paid/qwen')
    writeFileSync(file, read().replace('"mine": 1', '"mine": 2'))
    expect((await openclaw('--undo')).out).toContain('copies are kept')
    expect(JSON.parse(read())).toEqual({ mine: 2 })
    expect(backups()).toHaveLength(2)
  })

  it('undoes two writes of one value', async () => {
    writeFileSync(file, '{"mine": 1}\n')
    await openclaw('--write')
    config = configFile(CONFIG.replace('paid/qwen', 'paid/other'), directory)
    await openclaw('--write', '--replace')
    writeFileSync(file, read().replace('"mine": 1', '"mine": 2'))
    expect((await openclaw('--undo')).code).toBe(0)
    expect(JSON.parse(read())).toEqual({ mine: 2 })
  })

  it('undoes nothing that was changed since, unless forced', async () => {
    await openclaw('--write')
    writeFileSync(file, read().replace('openai-completions', 'openai-responses'))
    const refused = await openclaw('--undo')
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('was changed since')
    expect(read()).toContain('openai-responses')
    expect((await openclaw('--undo', '--force')).code).toBe(0)
    expect(read()).not.toContain('tollway')
  })

  it('leaves a file alone that it cannot read, and says what to do', async () => {
    const json5 = `{ models: { mode: 'merge' } }\n`
    writeFileSync(file, json5)
    const { code, err } = await openclaw('--write')
    expect(code).toBe(2)
    expect(err).toContain('add the entry by hand')
    expect(read()).toBe(json5)
    expect(backups()).toEqual([])
  })

  it('follows a link to the file, and the link stays one', async () => {
    const real = join(directory, 'real.json')
    writeFileSync(real, '{}')
    symlinkSync(real, file)
    await openclaw('--write')
    expect(readFileSync(real, 'utf8')).toContain('tollway')
    expect(
      readdirSync(directory, { withFileTypes: true })
        .find(({ name }) => name === 'openclaw.json')
        ?.isSymbolicLink(),
    ).toBe(true)
  })

  it('looks where OpenClaw looks', () => {
    expect(openclawFile({ HOME: '/h' })).toBe('/h/.openclaw/openclaw.json')
    expect(openclawFile({ HOME: '/h', OPENCLAW_HOME: '/o' })).toBe('/o/.openclaw/openclaw.json')
    expect(openclawFile({ OPENCLAW_HOME: '/o', OPENCLAW_STATE_DIR: '/s' })).toBe('/s/openclaw.json')
    expect(openclawFile({ OPENCLAW_STATE_DIR: '/s', OPENCLAW_CONFIG_PATH: '/c.json' })).toBe('/c.json')
  })

  it('set and undone, any file says what it said before', () => {
    const name = fc.constantFrom('models', 'providers', 'tollway', 'a', 'b.c')
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(1, 'x', true, null),
        fc.array(tie('node'), { maxLength: 2 }),
        fc.dictionary(name, tie('node'), { maxKeys: 3 }),
      ),
    }))
    fc.assert(
      fc.property(
        fc.dictionary(name, tree.node, { maxKeys: 3 }),
        fc.constantFrom(undefined, 2, '\t'),
        (root, space) => {
          const before = JSON.stringify(root, undefined, space)
          const parent = (root['models'] ?? {}) as object | null
          const settings = [{ path: ['models', 'tollway'], value: { url: 'u', list: [1, { a: null }] } }]
          if (
            typeof parent !== 'object' ||
            Array.isArray(parent) ||
            ('models' in root && root['models'] === null)
          ) {
            expect(() => applySettings(before, settings, true)).toThrow('models is not an object')
            return
          }
          const { text, changes } = applySettings(before, settings, true)
          expect(JSON.parse(text)).toEqual({ ...root, models: { ...parent, tollway: settings[0]?.value } })
          const back = JSON.parse(revertChanges(text, changes, false)) as Record<string, unknown>
          expect(back).toEqual(root)
        },
      ),
    )
  })
})

it.each([
  ['callers in the configuration', 'callers: [{ id: a, key: "${env:CALLER}" }]\n', true],
  ['a file of keys', 'keys: { path: ./keys.json }\n', true],
  ['nobody who is asked for one', '', false],
])('with %s the entries name a key or none', async (_what, callers, asks) => {
  config = configFile(
    `listen: 127.0.0.1:9402\n${callers}model_list: [{ model_name: m, api_base: "http://127.0.0.1:1/v1" }]\n`,
    directory,
  )
  expect((await openclaw()).out).toContain(asks ? '"apiKey": "${TOLLWAY_KEY}"' : '"apiKey": "unused"')
})

describe('init litellm', () => {
  const entries = ['paid/*', 'paid/qwen'].map((name) => ({
    model_name: name,
    litellm_params: {
      model: `openai/${name}`,
      api_base: 'http://127.0.0.1:9402/v1',
      api_key: 'os.environ/TOLLWAY_KEY',
      max_retries: 0,
    },
  }))
  const settings = {
    use_chat_completions_url_for_anthropic_messages: true,
    model_group_settings: { forward_client_headers_to_llm_api: ['paid/*', 'paid/qwen'] },
  }
  const THEIR_YAML = `# our gateway
model_list:
  - model_name: gpt-4o # the default
    litellm_params: { model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY }
litellm_settings:
  drop_params: false # needed by billing
  model_group_settings: { forward_client_headers_to_llm_api: [gpt-4o] }
general_settings: { master_key: os.environ/MASTER }
`

  it('prints a file to include, which holds nothing that would replace settings of the team', async () => {
    const { code, out } = await init('litellm', '--config', config)
    expect(code).toBe(0)
    expect(parse(out)).toEqual({ model_list: entries })
    expect(out).toContain('# include: [tollway-models.yaml]')
    expect(out).toContain('Spend per team')
    const commented = out.split('\n').flatMap((line) => (line.startsWith('# ') ? [line.slice(2)] : []))
    const from = commented.indexOf('litellm_settings:')
    expect(parse(commented.slice(from, from + 6).join('\n'))).toEqual({ litellm_settings: settings })
  })

  it('merges into a file, and keeps its entries, settings and comments', async () => {
    const theirs = join(directory, 'config.yaml')
    writeFileSync(theirs, THEIR_YAML)
    const shown = await init('litellm', '--config', config, '--file', theirs)
    expect(readFileSync(theirs, 'utf8')).toBe(THEIR_YAML)
    const { code, out } = await init('litellm', '--config', config, '--file', theirs, '--write')
    expect([code, out]).toEqual([0, expect.stringContaining('Added paid/*, paid/qwen to model_list')])
    const text = readFileSync(theirs, 'utf8')
    expect(shown.out).toBe(text)
    for (const kept of ['# our gateway', '# the default', '# needed by billing']) expect(text).toContain(kept)
    const before = parse(THEIR_YAML) as { model_list: object[] }
    expect(parse(text)).toEqual({
      ...before,
      model_list: [...before.model_list, ...entries],
      litellm_settings: {
        drop_params: false,
        use_chat_completions_url_for_anthropic_messages: true,
        model_group_settings: { forward_client_headers_to_llm_api: ['gpt-4o', 'paid/*', 'paid/qwen'] },
      },
    })
    const copies = readdirSync(directory).filter((name) => name.startsWith('config.yaml.'))
    expect(copies.map((name) => readFileSync(join(directory, name), 'utf8'))).toEqual([THEIR_YAML])
    const again = await init('litellm', '--config', config, '--file', theirs, '--write')
    expect(again.out).toContain('already has these entries')
    expect(readFileSync(theirs, 'utf8')).toBe(text)
  })

  it.each([
    ['an empty file', ''],
    ['a file of comments', '# theirs\n'],
    ['a file that only includes', 'include: [models.yaml]\n'],
    ['empty sections', 'model_list:\nlitellm_settings:\n'],
  ])('merges into %s', async (_title, before) => {
    const theirs = join(directory, 'config.yaml')
    writeFileSync(theirs, before)
    expect((await init('litellm', '--config', config, '--file', theirs, '--write')).code).toBe(0)
    expect(parse(readFileSync(theirs, 'utf8'))).toMatchObject({
      model_list: entries,
      litellm_settings: settings,
    })
  })

  it.each([
    [
      'another entry of that name',
      THEIR_YAML.replaceAll('gpt-4o', 'paid/*'),
      'has an entry paid/* for another address',
    ],
    ['no YAML', 'a: [', 'is not valid YAML'],
    ['no list', 'model_list: { a: b }\n', 'is not a list'],
  ])('changes nothing in a file with %s', async (_title, before, message) => {
    const theirs = join(directory, 'config.yaml')
    writeFileSync(theirs, before)
    const { code, err } = await init('litellm', '--config', config, '--file', theirs, '--write')
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
    expect(readFileSync(theirs, 'utf8')).toBe(before)
  })

  it('asks for the address of a gateway that listens on any port', async () => {
    config = configFile('listen: 127.0.0.1:0\n', directory)
    const { code, err } = await init('litellm', '--config', config)
    expect(code).toBe(2)
    expect(err).toContain('--url')
  })
})

describe('init systemd', () => {
  it('prints a unit that runs this program with that configuration', async () => {
    const { code, out } = await init('systemd', '--config', '/etc/t/t.yaml', '--program', '/opt/tollway')
    expect(code).toBe(0)
    expect(out).toContain('ExecStart=/opt/tollway serve --config /etc/t/t.yaml\n')
    expect(out).toMatch(/^\[Unit\]\n[\s\S]*\n\[Service\]\n[\s\S]*\n\[Install\]\n/)
  })

  it('takes paths from where it runs, since systemd runs elsewhere', async () => {
    const { out } = await init('systemd', '--config', './tollway.yaml', '--program', 'bin/tollway')
    expect(out).toContain(`ExecStart=${resolve('bin/tollway')} serve --config ${resolve('tollway.yaml')}\n`)
  })

  it('runs the Node and the program that printed it, and tells what systemd would not find', async () => {
    const main = realpathSync(MAIN)
    const { code, stdout } = await tollway(['init', 'systemd'])
    expect(code).toBe(0)
    expect(stdout).toContain(
      `ExecStart=${realpathSync(process.execPath)} ${main} serve --config /etc/tollway/tollway.yaml\n`,
    )
    expect(ownProgram(process.execPath, main)).toEqual([realpathSync(process.execPath), main])
    expect(programNote(['/usr/bin/node', '/usr/lib/node_modules/tollway/main.js'])).toBeUndefined()
    expect(programNote([['', 'home', 'me', 'node'].join('/'), '/usr/lib/main.js'])).toContain('ProtectHome')
    expect(programNote(['/usr/bin/node', '/var/cache/_npx/1/main.js'])).toContain('cache of npx')
  })

  it('refuses a path that systemd would read as something else', async () => {
    expect((await init('systemd', '--config', './my tollway.yaml')).code).toBe(2)
    expect((await init('systemd', '--program', '/opt/my programs/tollway')).code).toBe(2)
  })
})

describe('init prometheus', () => {
  it('prints where the metrics are and the rules of the package, and asks for the token where one is set', async () => {
    const { out } = await init('prometheus', '--config', config)
    const { rule_files: rules, scrape_configs: scrapes } = parse(out) as {
      rule_files: string[]
      scrape_configs: object[]
    }
    for (const rule of rules) expect(existsSync(rule), rule).toBe(true)
    expect(scrapes).toEqual([{ job_name: 'tollway', static_configs: [{ targets: ['127.0.0.1:9402'] }] }])
    config = configFile('metrics: { listen: "127.0.0.1:9464", token: "${env:CALLER}" }\n', directory)
    expect(parse((await init('prometheus', '--config', config)).out)).toMatchObject({
      scrape_configs: [
        {
          authorization: { credentials_file: 'metrics-token' },
          static_configs: [{ targets: ['127.0.0.1:9464'] }],
        },
      ],
    })
  })
})
