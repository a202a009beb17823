/** A process for sqlite.test.ts: reserves charge after charge and tells each one that was acknowledged, until killed. */
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { claim, terms } from './samples.ts'

const store = openSqliteStore({ path: process.argv[2] ?? '' })
/** Ends by itself, should nobody kill it. */
const MOST = 20_000
for (let n = 0; n < MOST; n += 4) {
  const ids = [n, n + 1, n + 2, n + 3]
  const results = await Promise.all(ids.map((id) => store.reserve(terms(id), [claim(1n, 99_999n)], false)))
  for (const result of results) if (result.ok) process.stdout.write(`${result.charge.id}\n`)
}
