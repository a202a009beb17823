import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/app/config/load.ts'
import { nearestName, suggestName, unknownName, unknownValue } from '../../src/io/names/nearest-name.ts'

describe('an unknown name', () => {
  const cases: readonly (readonly [name: string, known: readonly string[], near: string | undefined])[] = [
    ['bsae', ['mainnet', 'base'], 'base'],
    ['Base', ['base'], 'base'],
    ['base-sepoila', ['base', 'base-sepolia'], 'base-sepolia'],
    ['sepolia', ['base', 'sepolia-test'], 'sepolia-test'],
    ['gtp-4o', ['gpt-4o', 'paid/*'], 'gpt-4o'],
    ['x', ['y'], undefined],
    ['ab', ['cd'], undefined],
    ['nobody', ['base'], undefined],
    ['', ['base'], undefined],
  ]
  it.each(cases)('%j among %j is taken for %j', (name, known, near) => {
    expect(nearestName(name, known)).toBe(near)
  })

  it('is found again after any two letters changed places', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{3,20}$/), fc.nat(), (name, seed) => {
        const at = seed % (name.length - 1)
        const slip = name.slice(0, at) + name[at + 1] + name[at] + name.slice(at + 2)
        expect(nearestName(slip, [name])).toBe(name)
      }),
    )
  })

  it('gets the known names when none is near, and a word when there are none', () => {
    expect(suggestName('zzzz', ['base', 'obol'])).toBe('Known: base, obol.')
    expect(suggestName('zzzz', [])).toBe('None is configured.')
    expect(
      suggestName(
        'zzzz',
        Array.from({ length: 43 }, (_, at) => `name-${at}`),
      ),
    ).toMatch(/ and 3 more\.$/)
  })

  it('is repeated printably, and not at all where it may be a secret', () => {
    expect(unknownName('payer', 'bsa\u0007e', ['base'])).toBe('unknown payer "bsa?e". Did you mean "base"?')
    expect(unknownValue('payer', 'sk-live-1234567890', ['base'])).toBe('unknown payer. Known: base.')
  })
})

/** A configuration that is right, for tests that put one misspelt name into it. */
function config(change: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    callers: [{ id: 'openclaw', key: 'a'.repeat(32) }],
    payers: { base: { kind: 'direct', key: '${env:KEY}', networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'gpt-4o', api_base: 'https://s.example.com/v1', payer: 'base' }],
    ...change,
  }
}

describe('the configuration suggests the nearest', () => {
  const route = { model_name: 'gpt-4o', api_base: 'https://s.example.com/v1', payer: 'base' }
  const payer = { kind: 'direct', key: '${env:KEY}', networks: ['base-sepolia'] }
  const budget = { name: 'all', limit_usd: '1', window: 'day' }
  const cases: Readonly<Record<string, readonly [Record<string, unknown>, string]>> = {
    payer: [{ model_list: [{ ...route, payer: 'bsae' }] }, 'unknown payer "bsae". Did you mean "base"?'],
    'payer that fills a pool': [
      { payers: { base: payer, pool: { kind: 'obol', mode: 'pool', filled_by: 'bse' } } },
      'unknown payer "bse". Did you mean "base"?',
    ],
    'kind of payer': [{ payers: { base: { ...payer, kind: 'dircet' } } }, 'Did you mean "direct"?'],
    'option of a payer': [{ payers: { base: { ...payer, netwroks: [] } } }, 'Did you mean "networks"?'],
    'network of a payer': [
      { payers: { base: { ...payer, networks: ['base-sepoila'] } } },
      'unknown network "base-sepoila". Did you mean "base-sepolia"?',
    ],
    'network of a chain': [{ chains: { bas: { rpc: 'http://127.0.0.1:1' } } }, 'unknown network "bas"'],
    window: [{ budgets: [{ ...budget, window: 'mounth' }] }, 'Did you mean "month"?'],
    'scope of a budget': [{ budgets: [{ ...budget, per: 'calller' }] }, 'Did you mean "caller"?'],
    'time zone': [{ budgets: [{ ...budget, timezone: 'Europe/Berlni' }] }, 'Did you mean "Europe/Berlin"?'],
    asset: [
      { budgets: [{ name: 'all', limit: '1', asset: 'UDSC', window: 'day' }] },
      'unknown asset "UDSC". Did you mean "USDC"?',
    ],
    'caller of a route': [
      { model_list: [{ ...route, when: { callers: ['openclwa'] } }] },
      'unknown caller "openclwa". Did you mean "openclaw"?',
    ],
    'fallback model': [
      { router: { fallbacks: [{ 'gpt-4o': ['gtp-4o'] }] } },
      'unknown model "gtp-4o". Did you mean "gpt-4o"?',
    ],
    'aliased model': [
      { router: { aliases: { best: 'gpt-40' } } },
      'unknown model "gpt-40". Did you mean "gpt-4o"?',
    ],
    seller: [
      { policy: { sellers: { 'https://s.exmaple.com': { pay_to: [`0x${'1'.repeat(40)}`] } } } },
      'Did you mean "https://s.example.com"?',
    ],
    section: [{ bugdets: [] }, 'Did you mean "budgets"?'],
    choice: [{ stream: { on_disconnect: 'abrot' } }, 'Did you mean "abort"?'],
  }
  it.each(Object.entries(cases))('%s', (_, [change, message]) => {
    expect(() => parseConfig(config(change), { KEY: `0x${'1'.repeat(64)}` })).toThrow(message)
  })
})
