import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
import { models } from '../../middleware/models.ts'
import { compileRoutes, type Route } from '../../src/core/routing/route.ts'
import { readUpstreamList, type UpstreamModels } from '../../src/core/routing/upstream-list.ts'
import { filled, HOSTS, inExpress, untyped } from './harness.ts'

function route(modelName: string): Route {
  return {
    modelName,
    model: undefined,
    apiBase: 'https://seller.example.com/v1',
    payer: undefined,
    apiKey: 'sk-secret',
    order: 0,
  }
}

const ROUTES = compileRoutes(['paid/*', 'gpt-4o', 'gpt-4o', 'org/model:free'].map(route))
const CLOCK = { now: () => 1_700_000_000_500 }

describe.each(HOSTS)('models in %s', (_name, host) => {
  it.each(['/v1/models', '/models', '/v1/models/', '/v1/models?x=1'])(
    'lists the models at %s',
    async (path) => {
      const answer = await supertest(host(models({ routes: ROUTES, clock: CLOCK }))).get(path)
      expect(answer.body).toEqual({
        object: 'list',
        data: ['paid/*', 'gpt-4o', 'org/model:free'].map((id) => ({
          id,
          object: 'model',
          created: 1_700_000_000,
          owned_by: 'tollway',
        })),
      })
      expect(answer.headers['x-tollway-spent']).toBe('no')
      expect(answer.text).not.toContain('sk-secret')
    },
  )

  it.each([
    ['/v1/models/gpt-4o', 'gpt-4o'],
    ['/models/org/model:free', 'org/model:free'],
    ['/v1/models/org%2Fmodel%3Afree', 'org/model:free'],
    ['/v1/models/paid/any/thing', 'paid/any/thing'],
  ])('finds %s', async (path, id) => {
    const answer = await supertest(host(models({ routes: ROUTES, clock: CLOCK }))).get(path)
    expect(answer.body).toMatchObject({ id, object: 'model' })
  })

  it('answers 404 for a model nobody serves', async () => {
    const answer = await supertest(host(models({ routes: ROUTES }))).get('/v1/models/nope')
    expect(answer.status).toBe(404)
    expect(answer.body.error).toMatchObject({ code: 'model_not_found', param: 'model' })
  })
})

describe('models', () => {
  it('shows each caller its own models, also those it names that a pattern serves', async () => {
    const ids = async (allowedModels: string[]): Promise<string[]> => {
      const answer = await supertest(
        inExpress(filled({ caller: { allowedModels } }), models({ routes: ROUTES })),
      ).get('/v1/models')
      return untyped<{ id: string }[]>(answer.body.data).map(({ id }) => id)
    }
    expect(await ids(['paid/*'])).toEqual(['paid/*'])
    expect(await ids(['paid/qwen', 'unknown'])).toEqual(['paid/qwen'])
    expect(await ids(['gpt-*'])).toEqual(['gpt-4o'])
    const hidden = inExpress(filled({ caller: { allowedModels: ['paid/*'] } }), models({ routes: ROUTES }))
    expect((await supertest(hidden).get('/v1/models/gpt-4o')).status).toBe(404)
  })

  it('leaves other methods, other paths and broken escapes to the next', async () => {
    const next = inExpress(models({ routes: ROUTES }), (_req, res) => res.writeHead(204).end())
    expect((await supertest(next).post('/v1/models')).status).toBe(204)
    expect((await supertest(next).get('/v1/modelsx')).status).toBe(204)
    expect((await supertest(next).get('/v1/models/%E0%A4%A')).status).toBe(204)
  })

  it('tells the fix for options that cannot be meant', () => {
    expect(() => models({ routes: untyped({}) })).toThrow(/compileRoutes\(\)/)
    expect(() => models(untyped({ route: ROUTES }))).toThrow('Did you mean "routes"?')
  })
})

/** What an upstream lists, already read. */
function listing(...rows: object[]): UpstreamModels {
  return { load: () => Promise.resolve(), entries: readUpstreamList({ data: rows }) ?? new Map() }
}

const UPSTREAM = listing(
  { id: 'gpt-4o', object: 'model', owned_by: 'openai', mode: 'theirs' },
  { id: 'paid/x', object: 'model' },
  { id: 'llama/8b', object: 'model', created: 7, owned_by: 'meta', max_tokens: 9 },
  { id: 'llama/70b', object: 'model' },
  { id: 'mistral', object: 'model' },
  { id: 'shadowed', object: 'model' },
)
const ALIASED = compileRoutes(['paid/*', 'gpt-4o'].map(route), new Map(), {
  aliases: new Map([
    ['small', 'llama/8b'],
    ['shadowed', 'gpt-4o'],
    ['lost', 'nowhere'],
  ]),
})

describe("the default upstream's models", () => {
  const served = (allowedModels: string[]) =>
    inExpress(
      filled({ caller: { allowedModels } }),
      models({ routes: ALIASED, upstream: UPSTREAM, clock: CLOCK }),
    )
  const list = async (...allowedModels: string[]): Promise<{ id: string }[]> => {
    const answer = await supertest(served(allowedModels)).get('/v1/models')
    return untyped<{ id: string }[]>(answer.body.data)
  }
  const ids = async (...allowedModels: string[]): Promise<string[]> =>
    (await list(...allowedModels)).map(({ id }) => id)

  it('come behind our own, with the fields the upstream gives them; our names are ours', async () => {
    const all = await list('*')
    expect(all.map(({ id }) => id)).toEqual([
      'paid/*',
      'gpt-4o',
      'shadowed',
      'small',
      'llama/8b',
      'llama/70b',
      'mistral',
    ])
    expect(all[1]).toEqual({ id: 'gpt-4o', object: 'model', created: 1_700_000_000, owned_by: 'tollway' })
    expect(all[4]).toEqual({ id: 'llama/8b', object: 'model', created: 7, owned_by: 'meta', max_tokens: 9 })
  })

  it('are shown to a caller with a list as far as it names them, by their name or an alias', async () => {
    expect(await ids('llama/*')).toEqual(['small', 'llama/8b', 'llama/70b'])
    expect(await ids('small')).toEqual(['small'])
    expect(await ids('mistral', 'not-there')).toEqual(['mistral'])
    expect(await ids('paid/*')).toEqual(['paid/*'])
  })

  it.each([
    ['llama/8b', ['*'], 'meta'],
    ['small', ['small'], 'meta'],
    ['gpt-4o', ['*'], 'tollway'],
    ['shadowed', ['*'], 'tollway'],
    ['paid/x', ['*'], 'tollway'],
  ])('%s is found by its id for a caller with %j', async (id, allowed, owner) => {
    const answer = await supertest(served(allowed)).get(`/v1/models/${id}`)
    expect(answer.body).toMatchObject({ id, owned_by: owner })
  })

  it.each(['llama/70b', 'not-there', 'lost'])('%s is 404 for a caller that may not use it', async (id) => {
    expect((await supertest(served(['mistral', 'lost'])).get(`/v1/models/${id}`)).status).toBe(404)
  })

  it('are shown where a route of the same name is for other callers only, because the request is passed on', async () => {
    const routes = compileRoutes([{ ...route('mistral'), when: { callers: ['vip'] } }])
    const app = (id: string) =>
      inExpress(
        filled({ caller: { id, allowedModels: ['*'] } }),
        models({ routes, upstream: listing({ id: 'mistral', owned_by: 'them' }) }),
      )
    expect((await supertest(app('vip')).get('/v1/models/mistral')).body.owned_by).toBe('tollway')
    expect((await supertest(app('other')).get('/v1/models/mistral')).body.owned_by).toBe('them')
  })
})

describe('readUpstreamList', () => {
  it('leaves out rows without a usable id and repeated ones, and takes an empty list as one', () => {
    const rows = [null, 1, {}, { id: 5 }, { id: '' }, { id: 'a\n' }, { id: 'x'.repeat(201) }]
    const read = readUpstreamList({ data: [...rows, { id: 'my model', n: 1 }, { id: 'my model', n: 2 }] })
    expect([...(read ?? [])]).toEqual([['my model', { id: 'my model', n: 1 }]])
    expect(readUpstreamList({ data: [] })?.size).toBe(0)
  })

  it.each([null, [], 'x', {}, { data: {} }, { models: [] }])('refuses %j', (json) => {
    expect(readUpstreamList(json)).toBeUndefined()
  })
})
