import { describe, expect, it } from 'vitest'
import { caller } from '../../middleware/caller.ts'
import { mayUse } from '../../src/core/request/exchange.ts'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import { hashKey } from '../../src/io/callers/hash-key.ts'
import { codeOf, HOSTS, messageOf, send, serve, tellExchange, bare, untyped } from './harness.ts'
import type { Handler } from '../../middleware/http/handler.ts'

const CALLERS = [
  { id: 'openclaw', keyDigest: hashKey('sk-one'), models: ['paid/*'] },
  { id: 'ops', keyDigest: hashKey('sk-two') },
]

describe.each(HOSTS)('caller in %s', (_name, host) => {
  it('lets everyone in as anonymous with every model when no callers are configured', async () => {
    const port = await serve(host(caller(), tellExchange))
    expect((await send(port, { headers: { authorization: 'Bearer whatever' } })).json()).toMatchObject({
      caller: { id: 'anonymous', allowedModels: ['*'] },
    })
  })

  it('finds the caller by a bearer token or by x-api-key', async () => {
    const port = await serve(host(caller({ callers: CALLERS }), tellExchange))
    const first = { caller: { id: 'openclaw', allowedModels: ['paid/*'] } }
    expect((await send(port, { headers: { authorization: 'Bearer sk-one' } })).json()).toMatchObject(first)
    expect((await send(port, { headers: { authorization: 'bearer  sk-one' } })).json()).toMatchObject(first)
    expect((await send(port, { headers: { 'x-api-key': 'sk-one' } })).json()).toMatchObject(first)
    expect((await send(port, { headers: { 'x-api-key': 'sk-two' } })).json()).toMatchObject({
      caller: { id: 'ops', allowedModels: ['*'] },
    })
    const both = { authorization: 'Bearer placeholder', 'x-api-key': 'sk-two' }
    expect((await send(port, { headers: both })).json()).toMatchObject({ caller: { id: 'ops' } })
  })
})

const first = (text: string): string | undefined => text.split('. ')[0]

const tell: Handler = (req, res) => {
  const names = ['paid/qwen', 'gpt-4o', 'paid/']
  res.end(JSON.stringify(names.map((name) => mayUse(exchangeOf(req), name))))
}

describe('caller', () => {
  it.each([
    [{}],
    [{ authorization: '' }],
    [{ authorization: 'Basic sk-one' }],
    [{ authorization: 'sk-one' }],
    [{ authorization: 'Bearer SK-ONE' }],
    [{ authorization: 'Bearer sk-one extra' }],
    [{ 'x-api-key': '' }],
    [{ authorization: `Bearer ${hashKey('sk-one')}` }],
  ])('answers 401 to %j', async (headers) => {
    const port = await serve(bare(caller({ callers: CALLERS }), tellExchange))
    const answer = await send(port, { headers: untyped(headers) })
    expect(answer.status).toBe(401)
    expect(codeOf(answer)).toBe('invalid_api_key')
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer/)
  })

  it('says the same of a missing and of a wrong key, apart from the hint', async () => {
    const port = await serve(bare(caller({ callers: CALLERS }), tellExchange))
    const missing = messageOf(await send(port))
    const wrong = messageOf(await send(port, { headers: { authorization: 'Bearer no' } }))
    expect(first(missing)).toBe(first(wrong))
    expect(missing).not.toBe(wrong)
    expect(wrong).not.toContain('no"')
  })

  it('holds callers to their models', async () => {
    const port = await serve(bare(caller({ callers: CALLERS }), tell))
    const allowed = async (key: string): Promise<unknown> =>
      JSON.parse((await send(port, { headers: { 'x-api-key': key } })).body.toString())
    expect(await allowed('sk-one')).toEqual([true, false, false])
    expect(await allowed('sk-two')).toEqual([true, true, true])
  })

  it('tells the fix for options that cannot be meant', () => {
    expect(() => caller(untyped({ caller: [] }))).toThrow(
      '"caller" is not an option. Did you mean "callers"?',
    )
    expect(() => caller({ callers: [{ id: 'a', keyDigest: 'sk-one' }] })).toThrow(
      /hashKey\(key\), never the key itself/,
    )
    expect(() => caller({ callers: [untyped({ id: 'a', keydigest: hashKey('x') })] })).toThrow(
      /"callers\.0\.keydigest" is not an option\. Did you mean "keyDigest"\?/,
    )
    const twin = { id: 'b', keyDigest: hashKey('x') }
    expect(() => caller({ callers: [twin, { ...twin, id: 'c' }] })).toThrow(/"b" and "c" have the same key/)
    expect(() => caller({ callers: [twin, { ...twin, keyDigest: hashKey('y') }] })).toThrow(
      /two callers have the id "b"/,
    )
    expect(() => caller({ callers: [{ ...twin, models: ['a*b*'] }] })).toThrow(/at most one \*/)
  })
})
