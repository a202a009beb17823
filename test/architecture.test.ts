import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { circles, foldersOf, importsOf, localImports, ROOT, sources } from './kit/import-graph.ts'

/** The floors, lowest first: what each may import of ours, and of others. `*` means any package. */
const FLOORS = [
  { name: 'core', dir: 'src/core', below: [], packages: ['zod', 'luxon'] },
  {
    name: 'io',
    dir: 'src/io',
    below: ['core'],
    packages: ['*'],
    never: ['express', 'http-proxy-middleware'],
  },
  {
    name: 'providers',
    dir: 'providers',
    below: ['io', 'core'],
    packages: ['zod', 'viem'],
    never: ['express'],
  },
  {
    name: 'payment',
    dir: 'src/payment',
    below: ['io', 'core'],
    packages: [],
    never: ['express', 'http-proxy-middleware'],
  },
  {
    name: 'middleware',
    dir: 'middleware',
    below: ['payment', 'io', 'core'],
    packages: ['*'],
    never: ['viem'],
  },
  { name: 'testing', dir: 'src/testing', below: ['payment', 'io', 'core'], packages: ['vitest'] },
  {
    name: 'app',
    dir: 'src/app',
    below: ['middleware', 'payment', 'providers', 'io', 'core'],
    packages: ['*'],
  },
] as const

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
}

function floorOf(file: string): string | undefined {
  if (file === 'src/index.ts') return 'entry'
  return FLOORS.find((floor) => file.startsWith(`${floor.dir}/`))?.name
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

describe.each(FLOORS)('the floor $name', (floor) => {
  const files = sources(floor.dir)
  const imports = files.flatMap(importsOf)

  test('has source files and imports to look at', () => {
    expect(files.length).toBeGreaterThan(0)
    expect(imports.length).toBeGreaterThan(0)
  })

  test('imports only from floors below it', () => {
    const own = imports.filter(({ specifier }) => specifier.startsWith('.'))
    const wrong = own.filter(({ from, specifier }) => {
      const target = floorOf(relative(ROOT, resolve(ROOT, dirname(from), specifier)))
      return target !== floor.name && !(floor.below as readonly string[]).includes(target ?? '')
    })
    expect(wrong).toEqual([])
  })

  test('uses only the packages its floor may use', () => {
    const never = 'never' in floor ? (floor.never as readonly string[]) : []
    const foreign = imports.filter(
      ({ specifier }) => !specifier.startsWith('.') && !specifier.startsWith('node:'),
    )
    const wrong = foreign.filter(({ specifier }) => {
      const name = packageOf(specifier)
      return (
        never.includes(name) ||
        !(
          (floor.packages as readonly string[]).includes('*') ||
          (floor.packages as readonly string[]).includes(name)
        )
      )
    })
    expect(wrong).toEqual([])
  })
})

const SOURCES = [...sources('src'), ...sources('middleware'), ...sources('providers')]

test('no circle of files, type imports counted', () => {
  expect(circles(localImports(SOURCES))).toEqual([])
})

test('no circle of folders, type imports counted', () => {
  expect(circles(foldersOf(localImports(SOURCES)))).toEqual([])
})

test('the search for circles finds one', () => {
  const graph = new Map([
    ['a', new Set(['b'])],
    ['b', new Set(['c'])],
    ['c', new Set(['a', 'd'])],
    ['d', new Set<string>()],
  ])
  expect(circles(graph)).toEqual([['a', 'b', 'c']])
})

test('the inside of a middleware is imported by that middleware alone', () => {
  const wrong = [...localImports(SOURCES)].flatMap(([from, targets]) =>
    [...targets].flatMap((target) => {
      const owner = /^middleware\/([^/]+)\//.exec(target)?.[1]
      const isOwn = from === `middleware/${owner}.ts` || from.startsWith(`middleware/${owner}/`)
      return owner === undefined || owner === 'http' || isOwn ? [] : [`${from} -> ${target}`]
    }),
  )
  expect(wrong).toEqual([])
})

test('every source file is short enough to read, and every folder to survey', () => {
  const long = SOURCES.filter(
    (file) => readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1 > 350 && !isGenerated(file),
  )
  expect(long).toEqual([])
  const full = [...Map.groupBy(SOURCES, (file) => dirname(file))]
    .filter(([, files]) => files.length > 25)
    .map(([folder, files]) => `${folder}: ${files.length}`)
  expect(full).toEqual([])
})

/** Compiled contracts are data. */
function isGenerated(file: string): boolean {
  return file.endsWith('-artifact.ts')
}

test('core reaches for no clock, no randomness and no environment of its own', () => {
  const reaches = sources('src/core')
    .filter((file) => !file.endsWith('/clock.ts') && !file.endsWith('/timers.ts'))
    .flatMap((file) => {
      const text = withoutComments(readFileSync(join(ROOT, file), 'utf8'))
      return /Date\.now|new Date\(\)|Math\.random|process\.|setTimeout|node:(?!buffer)/.test(text)
        ? [file]
        : []
    })
  expect(reaches).toEqual([])
})

test('rule 6: a quote is made in one place, and payers take nothing but quotes', () => {
  const makers = [...sources('src'), ...sources('middleware'), ...sources('providers')].filter((file) =>
    readFileSync(join(ROOT, file), 'utf8').includes('new Quote('),
  )
  expect(makers).toEqual(['src/core/policy/gate.ts'])
})

test('rule 8: only the signer worker holds a key: nothing else signs, and nothing else reads one', () => {
  const files = [...sources('src'), ...sources('middleware'), ...sources('providers')].filter(
    (file) => !/^src\/(?:app\/sandbox|testing)\//.test(file),
  )
  const using = (pattern: RegExp): string[] =>
    files.filter((file) => pattern.test(readFileSync(join(ROOT, file), 'utf8')))
  expect(using(/\.sign(?:TypedData|Message|Transaction)\(|\.sign\(\{/)).toEqual([
    // Asks an account that the program brought; the key is wherever that account keeps it.
    'src/io/signer/signer-account.ts',
    'src/io/signer/signer.worker.ts',
  ])
  expect(using(/privateKeyToAccount/)).toEqual(['src/io/signer/private-key.ts'])
  // Ed25519: payments on Solana, and the checkpoints of the audit file, whose key holds no money.
  expect(using(/import \{[^}]*\bsign\b[^}]*\} from 'node:crypto'/)).toEqual([
    'src/io/audit/audit-signer.ts',
    'src/io/signer/solana/solana.worker.ts',
  ])
  const readers = files
    .flatMap(importsOf)
    .filter(({ specifier }) =>
      /(?:private-key|key-file|key-agentcash|key-keystore|load-key|solana-key)\.ts$/.test(specifier),
    )
  expect([...new Set(readers.map(({ from }) => from))].toSorted()).toEqual([
    'src/io/signer/key-agentcash.ts',
    'src/io/signer/key-file.ts',
    'src/io/signer/key-keystore.ts',
    'src/io/signer/load-key.ts',
    'src/io/signer/signer.worker.ts',
    'src/io/signer/solana/load-solana-key.ts',
    'src/io/signer/solana/solana-key.ts',
    'src/io/signer/solana/solana.worker.ts',
  ])
})

test('rules 3, 5 and 6: every payment takes one way: gate, payer, ledger, one send', () => {
  const files = [...sources('src'), ...sources('middleware'), ...sources('providers')].filter(
    (file) => !/^src\/(?:app\/sandbox|testing)\//.test(file),
  )
  const using = (pattern: RegExp): string[] =>
    files.filter((file) => pattern.test(withoutComments(readFileSync(join(ROOT, file), 'utf8'))))
  // The gate is asked in one place, and one place asks payers to sign and sends what they signed.
  expect(using(/import \{[^}]*\bvet(?:Challenge|Offers)\b/)).toEqual(['src/payment/vet-offers.ts'])
  // Vouchers are bought by the same gate, and paid for when they are spent.
  expect(using(/(?<!function )\bchooseOffer\(/).toSorted()).toEqual([
    'src/app/buying/terms.ts',
    'src/payment/paid-call.ts',
  ])
  expect(using(/\.presign\(/)).toEqual(['src/app/buying/fill.ts'])
  expect(using(/payer\.authorize\(/)).toEqual(['src/payment/paid-call.ts'])
  expect(using(/\bauthorization\.header\b|\{ name, value \} = authorization/)).toEqual([
    'src/payment/paid-call.ts',
  ])
  // Payment headers are written by payers only; every payer asks whether the quote came out of the gate.
  const payers = using(/\bauthorize\((?:quote|_quote)\b/).filter((file) => file.startsWith('providers/'))
  expect(payers.length).toBeGreaterThan(0)
  for (const file of payers) {
    expect(readFileSync(join(ROOT, file), 'utf8'), file).toContain('Quote.isVetted(quote)')
  }
  const writers = using(/(?<!function )\bencodePayment\(|HEADERS\.(?:signature|paymentV1)\b/)
  // The shim reads them: what another program signed comes to it.
  expect(writers.filter((file) => !file.startsWith('providers/'))).toEqual([
    'src/core/x402/payment-headers.ts',
    'src/core/x402/x402.ts',
    'src/io/external-payers/shim.ts',
  ])
  // Sellers are reached through one transport, which follows no redirect and repeats nothing. An x402-buyer is no seller: it
  // is asked to call us, and gets no payment.
  expect(files.filter((file) => importsOf(file).some(({ specifier }) => specifier === 'undici'))).toEqual([
    'src/app/gateway/open-parts.ts',
    'src/io/external-payers/obol-sidecar.ts',
    'src/io/transport/connector.ts',
    'src/io/transport/first-byte-limit.ts',
    'src/io/transport/payment-line.ts',
    'src/io/transport/public-connector.ts',
    'src/io/transport/send-once.ts',
    'src/io/transport/upstream-error.ts',
    'src/io/transport/upstream.ts',
  ])
  expect(using(/\bupstream\.send\(/).toSorted()).toEqual([
    // Asks a seller or the default upstream for its list of models: GET, no body, no payment.
    'src/io/routing/kept-list.ts',
    'src/payment/paid-call.ts',
    'src/payment/send-unpaid.ts',
    // Signs in instead of paying: no payment goes along.
    'src/payment/sign-in/sign-in.ts',
  ])
  // What reserves, records and books is the ledger's (and its bookings') alone: nothing else moves a charge.
  expect(using(/(?:store|#store)\.(?:reserve|authorize|move)\(/).toSorted()).toEqual([
    // Asks what another policy would have done, on a store of its own in memory.
    'src/app/report/replay.ts',
    // Counts a payment that was made before the ledger was put back.
    'src/io/ledger/charge-resolver.ts',
    'src/io/ledger/ledger.ts',
    'src/io/ledger/pending-moves.ts',
    'src/io/ledger/record-authorization.ts',
    'src/io/ledger/restore-forgotten-charge.ts',
  ])
})

describe('the table of money rules in docs/architecture.md', () => {
  const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8')
  const rows = [...page.matchAll(/^\| (\d+) \| (`src\/.*) \| (`test\/.*) \|$/gm)].map(
    ([, rule, code = '', tests = '']) => ({ rule: Number(rule), code: pathsIn(code), tests: pathsIn(tests) }),
  )

  test('has the ten rules, each with code and tests', () => {
    expect(rows.map(({ rule }) => rule)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  test.each(rows)(
    'rule $rule: its files exist, and a title in each of its tests names it',
    ({ rule, code, tests }) => {
      expect([...code, ...tests].filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
      expect(tests.filter((file) => !rulesOf(readFileSync(join(ROOT, file), 'utf8')).has(rule))).toEqual([])
    },
  )

  test('every other path it names exists', () => {
    const paths = pathsIn(page).filter((path) => /^(?:src|middleware|providers|test)\//.test(path))
    expect(paths.length).toBeGreaterThan(40)
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })

  test('the search for rules in titles finds one rule and several, and nothing in comments', () => {
    const text = "test('rule 3: x')\ntest(`rules 5, 6 and 10: x`)\n// rule 7: x\ntest('keeps rule 8')"
    expect([...rulesOf(text)]).toEqual([3, 5, 6, 10])
  })
})

/** What a text has between backquotes. */
function pathsIn(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, path = '']) => path)
}

/** The money rules that titles of a test file begin with: `rule 5: ...`, `rules 3 and 4: ...`. */
function rulesOf(text: string): Set<number> {
  const titles = text.matchAll(/['"`]rules? ([\d, and]+): /g)
  return new Set([...titles].flatMap(([, list = '']) => (list.match(/\d+/g) ?? []).map(Number)))
}

test('tests are neither skipped, focused nor retried', () => {
  const marked = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && name !== 'architecture.test.ts')
    // What a foreign payer was installed with is not ours.
    .filter((name) => !name.includes('node_modules'))
    .filter((name) =>
      /\b(?:it|test|describe)\.(?:skip|only|todo|fails)\b|retry:/.test(
        readFileSync(join(ROOT, 'test', name), 'utf8'),
      ),
    )
  expect(marked).toEqual([])
})
