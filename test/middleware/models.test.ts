import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
import { models } from '../../middleware/models.ts'
import { compileRoutes, type Route } from '../../src/core/routing/route.ts'
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
    expect(() => models({ routes: untyped([]) })).toThrow(/compileRoutes\(\)/)
    expect(() => models(untyped({ route: ROUTES }))).toThrow('Did you mean "routes"?')
  })
})
