/** `tollway catalog` against sellers, facilitators and files of this machine. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createProgram, run } from '../../src/app/cli/run.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, json, OFFER, type Answer } from '../kit/seller-answers.ts'
import { CATALOG_V2, OPENAPI, PAY_MD, SERVICES, SKILL_DETAIL, skillsIndex, UNSUPPORTED } from './documents.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

const NOT_FOUND: Answer = { status: 404, headers: {}, body: 'no' }

/** A server with documents by path and query. */
async function serving(documents: Readonly<Record<string, Answer>>): Promise<ScriptedSeller> {
  const seller = await startScriptedSeller(({ url }) => documents[url] ?? NOT_FOUND)
  ends.push(() => seller.close())
  return seller
}

/** A command on one index; loopback may be read unless the test is about the guard. */
function commands(isGuarded = false) {
  const index = join(temporaryDirectory(), 'index.db')
  return async (...args: string[]): Promise<FakeTerminal & { readonly code: number }> => {
    const terminal = new FakeTerminal()
    const more = isGuarded ? [] : ['--allow-private']
    const code = await run(['catalog', ...args, '--index', index, ...more], terminal)
    return Object.assign(terminal, { code })
  }
}

/** SeekerClaw's skill as it lies on a disk, beside pay-skills' registry. */
function onDisk(): string {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'skill'))
  writeFileSync(join(directory, 'skill/catalog.json'), JSON.stringify(CATALOG_V2))
  writeFileSync(join(directory, 'skill/unsupported.json'), JSON.stringify(UNSUPPORTED))
  writeFileSync(join(directory, 'skill/notes.json'), '{"entries":[]}')
  mkdirSync(join(directory, 'registry/providers/seller/chat'), { recursive: true })
  writeFileSync(join(directory, 'registry/providers/seller/chat/PAY.md'), PAY_MD)
  return directory
}

describe('tollway catalog', () => {
  it('reads the storefront of a seller whose address was given, searches it and shows it as it was published', async () => {
    const seller = await serving({ '/api/services.json': json(SERVICES), '/openapi.json': json(OPENAPI) })
    const catalog = commands()
    const added = await catalog('add', seller.url, '--name', 'home')
    expect([added.code, added.err]).toEqual([0, ''])
    expect(added.out).toMatch(/home +services +2 +0 min +http:\S+\/api\/services\.json/)
    const found = await catalog('search', 'qwen')
    expect(found.out).toMatch(/home\/llm\/qwen +qwen3\.5:9b +llm +0\.001 USDC per request +base-sepolia/)
    const shown = await catalog('show', 'home/llm/qwen', '--json')
    expect(JSON.parse(shown.out)).toMatchObject({
      listing: 'home/llm/qwen',
      listed_terms: [{ network: 'eip155:84532', amount: '1000', pay_to: OFFER.payTo }],
      probes: [],
      published: SERVICES[0],
    })
    expect((await catalog('show', 'home/llm/tuner')).out).toContain('2 OBOL per hour')
  })

  it("reads a seller's openapi.json where it has no storefront", async () => {
    const seller = await serving({
      '/api/services.json': challengeV2([OFFER]),
      '/openapi.json': json(OPENAPI),
    })
    const catalog = commands()
    const { code, out } = await catalog('add', seller.url, '--name', 'weather', '--json')
    expect([code, JSON.parse(out)]).toMatchObject([
      0,
      { kind: 'openapi', listings: 3, stale: false, skipped: 0 },
    ])
    expect((await catalog('search', 'weather')).out).toContain('weather/GET /forecast')
    expect((await catalog('show', 'weather/GET /history')).out).toContain('paid by mpp, not by x402')
  })

  it('reads files of a directory, and says of each unsupported service why', async () => {
    const catalog = commands()
    expect((await catalog('add', join(onDisk(), 'skill'), '--name', 'skill')).out).toMatch(/skill +paysh +4 /)
    const search = await catalog('search', 'fal')
    expect(search.out).toMatch(/skill\/fal .*no: requires_binary_response/)
    expect((await catalog('show', 'skill/fal')).out).toContain(
      'Answers with files. Makes pictures. This may change.',
    )
    const all = await catalog('search', '--json')
    expect((JSON.parse(all.out) as { service: string }[]).map(({ service }) => service)).toEqual([
      'fal',
      'translate',
      'wolframalpha',
      'wolframalpha',
    ])
  })

  it('names the providers of a registry by their place in it', async () => {
    const catalog = commands()
    await catalog('add', join(onDisk(), 'registry'), '--name', 'registry')
    expect((await catalog('search', 'models')).out).toContain('registry/seller/chat POST v1/chat/completions')
  })

  it('reads the details of those that sell models with the index of pay-skills', async () => {
    const documents: Record<string, Answer> = {}
    const seller = await serving(documents)
    documents['/v1/skills.json'] = json(skillsIndex(`${seller.url}/v2`))
    documents['/v2/providers/seller/chat.json'] = json(SKILL_DETAIL)
    const catalog = commands()
    await catalog('add', `${seller.url}/v1/skills.json`, '--name', 'skills')
    expect((await catalog('search', 'chat')).out).toMatch(
      /skills\/seller\/chat POST \/v1\/chat\/completions .*\$0\.4 per 1,000,000 input tokens/,
    )
    delete documents['/v2/providers/seller/chat.json']
    expect((await catalog('refresh', 'skills')).out).toMatch(/skills +pay-skills +2 \(1 unreadable\)/)
    expect((await catalog('search', 'chat')).out).toMatch(
      /skills\/seller\/chat .*\$0\.4 per request, \$1\.2 per request/,
    )
  })

  it('keeps the listings of a source that cannot be read, says why, and ends with 1', async () => {
    const documents: Record<string, Answer> = { '/api/services.json': json(SERVICES) }
    const seller = await serving(documents)
    const catalog = commands()
    await catalog('add', seller.url, '--name', 'home')
    documents['/api/services.json'] = json({}, {}, 503)
    const { code, out } = await catalog('refresh')
    expect([code, out]).toEqual([
      1,
      expect.stringMatching(/home could not be read the last time: .*it answered 503/),
    ])
    expect((await catalog('list')).out).toContain('it answered 503')
    expect((await catalog('search', 'qwen')).code).toBe(0)
    documents['/api/services.json'] = json(SERVICES.slice(1))
    expect((await catalog('refresh', 'home')).code).toBe(0)
    expect((await catalog('search', 'qwen')).code).toBe(1)
    expect((await catalog('remove', 'home', '--json')).out).toContain('"removed": "home"')
    expect((await catalog('list')).out).toContain('No catalogue is known yet.')
  })

  it('asks a name for a second source of the same host, and replaces one that is named again', async () => {
    const seller = await serving({ '/a.json': json(SERVICES), '/b.json': json(SERVICES.slice(1)) })
    const catalog = commands()
    await catalog('add', `${seller.url}/a.json`)
    const second = await catalog('add', `${seller.url}/b.json`)
    expect([second.code, second.err]).toEqual([
      2,
      expect.stringContaining('Give this one another name with --name'),
    ])
    const name = `127.0.0.1-${new URL(seller.url).port}`
    expect((await catalog('add', `${seller.url}/b.json`, '--name', name)).out).toMatch(/ services +1 /)
  })

  it.each([
    ['a name that is none', ['add', 'https://x.example', '--name', 'No Name'], /no name for a source/],
    ['neither an address nor a file', ['add', 'nothing-here'], /neither an address.*pay\.sh, cdp/],
    ['plain http to another machine', ['add', 'http://x.example'], /plain http to another machine/],
    ['a source that is not known', ['refresh', 'x'], /No catalogue is known yet/],
    ['a listing that is not known', ['show', 'x/y'], /No listing is named "x\/y"/],
    ['a registry of no network', ['add', 'erc8004:nowhere'], /names no registry/],
  ])('refuses %s', async (_case, args, message) => {
    const { code, err } = await commands()(...args)
    expect([code, err]).toEqual([2, expect.stringMatching(message)])
  })
})

describe('an address of a catalogue', () => {
  it('inside the network of this machine is not read unless the user says so', async () => {
    const seller = await serving({ '/api/services.json': json(SERVICES) })
    const { code, err } = await commands(true)('add', seller.url)
    expect([code, err]).toEqual([1, expect.stringMatching(/not on the public internet/)])
    expect(seller.requests).toHaveLength(0)
  })

  it('that redirects is not followed', async () => {
    const other = await serving({ '/x.json': json(SERVICES) })
    const moved: Answer = { status: 302, headers: { location: `${other.url}/x.json` }, body: '' }
    const seller = await serving({ '/x.json': moved })
    const { code, err } = await commands()('add', `${seller.url}/x.json`)
    expect([code, err]).toEqual([1, expect.stringMatching(/points to http\S+; redirects are not followed/)])
    expect(other.requests).toHaveLength(0)
  })

  it('with an answer that never ends is read to a bound', async () => {
    const seller = await startScriptedSeller((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(1_048_576, 32)));
      }
      response.on('drain', more)
      more()
    })
    ends.push(() => seller.close())
    const { code, err } = await commands()('add', `${seller.url}/x.json`)
    expect([code, err]).toEqual([1, expect.stringMatching(/longer than 16777216 bytes/)])
  })
})

describe('a facilitator', () => {
  const item = (index: number): object => ({
    resource: `https://s${index}.seller.example/report`,
    type: 'http',
    x402Version: 2,
    accepts: [OFFER],
    lastUpdated: '2026-09-01T00:00:00Z',
    description: `Report ${index}`,
    serviceName: 'Reports',
    tags: ['reports'],
  })

  it('is read page by page, at its own address or that of its list', async () => {
    const items = Array.from({ length: 230 }, (_, index) => item(index))
    const documents: Record<string, Answer> = {}
    const page = (offset: number): Answer =>
      json({
        x402Version: 2,
        items: items.slice(offset, offset + 100),
        pagination: { limit: 100, offset, total: 230 },
      })
    documents['/discovery/resources'] = page(0)
    for (const offset of [0, 100, 200])
      documents[`/discovery/resources?limit=100&offset=${offset}`] = page(offset)
    const facilitator = await serving(documents)
    const catalog = commands()
    const { out } = await catalog('add', facilitator.url, '--name', 'bazaar', '--json')
    expect(JSON.parse(out)).toMatchObject({ kind: 'bazaar', listings: 230, address: facilitator.url })
    expect(facilitator.requests).toHaveLength(6)
    const shown = await catalog('show', 'bazaar/https://s7.seller.example/report', '--json')
    expect(JSON.parse(shown.out)).toMatchObject({
      service: 'Reports',
      words: ['reports'],
      catalogue_check: { status: 'paid once', at: '2026-09-01T00:00:00Z' },
      listed_terms: [{ network: 'eip155:84532', amount: '1000', pay_to: OFFER.payTo, scheme: 'exact' }],
    })
    expect((await catalog('refresh')).out).toMatch(/ 230 /)
  })

  it('that gives the same page for every offset is not asked for ever', async () => {
    const facilitator = await startScriptedSeller(() =>
      json({ items: [item(1)], pagination: { total: 1_000_000 } }),
    )
    ends.push(() => facilitator.close())
    await commands()('add', `${facilitator.url}/discovery/resources`)
    expect(facilitator.requests.length).toBeLessThan(5)
  })
})

it('finds what it needs beside the configuration when no index is named', async () => {
  const directory = temporaryDirectory()
  cpSync(join(onDisk(), 'skill'), join(directory, 'skill'), { recursive: true })
  const config = join(directory, 'tollway.yaml')
  const terminal = new FakeTerminal()
  expect(await run(['catalog', 'add', join(directory, 'skill'), '--config', config], terminal)).toBe(0)
  const again = new FakeTerminal()
  expect(await run(['catalog', 'search', 'math', '--config', config], again)).toBe(0)
  expect(again.out).toContain('skill/wolfram-alpha')
})

it('has a page whose commands are commands', () => {
  const page = readFileSync(new URL('../../docs/catalogue.md', import.meta.url), 'utf8')
  const program = createProgram({ terminal: new FakeTerminal(), end: () => undefined })
  const lines = [...page.matchAll(/^npx tollway (\S+) (\S+)/gm)]
  expect(lines.length).toBeGreaterThan(4)
  for (const [, name, sub] of lines) {
    const command = program.commands.find((one) => one.name() === name)
    const hasSub = command?.commands.some((one) => one.name() === sub) ?? false
    expect(command?.commands.length === 0 || hasSub, `${name} ${sub}`).toBe(true)
  }
})
