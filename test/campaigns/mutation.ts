/**
 * Mutation run over the money rules' files, each against its own unit tests: `npm run mutation`, or with part of a file's name and the
 * most mutants per file: `node test/campaigns/mutation.ts gate 40`. A mutant that every test survives is printed.
 *
 * An own small tool: it applies standard operators to the syntax tree that vitest's parser gives, and lets vitest load the mutant
 * instead of the file, so that no source is ever changed.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mutantsOf, type Mutant } from './mutation/mutants.ts'

/** Which tests judge which file: vitest's arguments. */
const TARGETS: Readonly<Record<string, readonly string[]>> = {
  'src/core/charge/charge.ts': ['test/charge/charge.test.ts'],
  'src/core/charge/reconcile.ts': ['test/charge/reconcile.test.ts'],
  'src/core/charge/judge-paid-answer.ts': [
    'test/charge/judge-paid-answer.test.ts',
    'test/charge/settlement-pending.test.ts',
  ],
  'src/core/policy/gate.ts': ['test/policy'],
  'src/core/policy/price-change.ts': ['test/policy/price-change.test.ts'],
  'src/core/policy/forbidden-payee.ts': ['test/policy/forbidden-payee.test.ts'],
  'src/core/policy/read-offer.ts': ['test/policy'],
  'src/core/policy/solana-offer.ts': ['test/policy/solana-offers.test.ts'],
  'src/core/policy/vet-sign-in.ts': ['test/policy/vet-sign-in.test.ts'],
  'src/core/budget/budget.ts': ['test/budget/budget.test.ts'],
  'src/core/money/money.ts': ['test/money'],
  'src/core/request/idempotency.ts': [
    'test/request/idempotency.test.ts',
    'test/idempotency/flight.test.ts',
    'test/idempotency/idempotency.property.test.ts',
  ],
  'src/io/store/rules/charge-rules.ts': ['test/store/charge-rules.test.ts'],
  'src/io/store/rules/payee-rules.ts': ['test/store/store.test.ts', '-t', 'memory as a store'],
  'src/io/store/rules/repeat-rules.ts': ['test/store/store.test.ts', '-t', 'memory as a store'],
  'src/io/store/memory/idempotency.ts': ['test/store/store.test.ts', '-t', 'memory as a store'],
  'src/io/store/sqlite/idempotency.ts': ['test/store/store.test.ts', '-t', 'sqlite as a store'],
  'src/io/store/sqlite/budgets.ts': ['test/store/store.test.ts', '-t', 'sqlite as a store'],
  'src/io/store/sqlite/spending.ts': ['test/store/store.test.ts', '-t', 'sqlite as a store'],
  'src/io/store/sqlite/vouchers.ts': ['test/store/store.test.ts', '-t', 'sqlite as a store'],
  'src/io/ledger/record-authorization.ts': ['test/ledger/record-authorization.test.ts'],
  'src/core/printable.ts': ['test/cli/visible.test.ts'],
  'src/io/audit/audit-path.ts': ['test/audit/audit-path.test.ts'],
  'src/io/audit/refusal-tally.ts': ['test/audit/refusal-tally.test.ts'],
  'src/io/files/credential.ts': ['test/config/secrets.test.ts'],
  'src/io/files/file-lock.ts': ['test/audit/audit-path.test.ts'],
  'src/payment/judge-lost-answer.ts': ['test/payment/paid-call.test.ts'],
  'src/payment/reserve-terms.ts': ['test/payment/reserve-terms.test.ts'],
  'src/payment/try-candidates.ts': ['test/payment/try-candidates.test.ts'],
  'src/payment/paid-call.ts': ['test/payment/paid-call.test.ts'],
}

const ROOT = join(import.meta.dirname, '../..')
/** A mutant that loops for ever is found by it. */
const HANGS_MS = 180_000

type Fate = 'killed' | 'survived' | 'hung'

/** @param stdio where the tests' own words go */
function judge(
  file: string,
  tests: readonly string[],
  mutant: Mutant,
  stdio: 'ignore' | 'inherit' = 'ignore',
): Promise<Fate> {
  const { start, end, text } = mutant
  const child = spawn(
    process.execPath,
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--config',
      'test/campaigns/mutation/vitest.config.ts',
      ...tests,
    ],
    {
      cwd: ROOT,
      stdio,
      env: { ...process.env, TOLLWAY_MUTANT: JSON.stringify({ file, start, end, text }) },
    },
  )
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), HANGS_MS)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      resolve(signal === 'SIGKILL' ? 'hung' : code === 0 ? 'survived' : 'killed')
    })
  })
}

const [wanted = '', most = '1000'] = process.argv.slice(2)
for (const [file, tests] of Object.entries(TARGETS).filter(([name]) => name.includes(wanted))) {
  const source = readFileSync(join(ROOT, file), 'utf8')
  // What changes nothing must pass, and what breaks everything must not: else the fates below would mean nothing.
  const control = { start: 0, end: 0, what: '', line: 0 }
  const fates = [
    // Shown: why tests fail without a mutant is in their own words.
    await judge(file, tests, { ...control, text: '' }, 'inherit'),
    await judge(file, tests, { ...control, text: 'throw new Error()\n' }),
  ]
  if (fates.join() !== 'survived,killed')
    throw new Error(`the tests of ${file} judge nothing: ${fates.join()}`)
  const all = mutantsOf(source)
  const step = Math.max(1, all.length / Number(most))
  const chosen = all.filter((_, at) => Math.floor(at / step) !== Math.floor((at - 1) / step))
  const counts = { killed: 0, survived: 0, hung: 0 }
  for (const mutant of chosen) {
    const fate = await judge(file, tests, mutant)
    counts[fate] += 1
    if (fate === 'survived') process.stdout.write(`${file}:${mutant.line} survived: ${mutant.what}\n`)
  }
  process.stdout.write(`${file}: ${chosen.length} of ${all.length} mutants, ${JSON.stringify(counts)}\n`)
}
