/**
 * A process for one-log.test.ts: opens the ledger it is named and does what it is asked, one line each: `reserve <n>`
 * (1,000 of a budget of 10,000) or `close`. Answers each `reserve` with one line.
 */
import { createInterface } from 'node:readline'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, terms } from './samples.ts'

const say = (text: string): boolean => process.stdout.write(`${text.replaceAll('\n', ' ')}\n`)
const words = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : '?')

let store: Store | undefined
try {
  store = openSqliteStore({ path: process.argv[2] ?? '', busyTimeoutMs: Number(process.argv[3]) })
  say('open')
} catch (error) {
  say(words(error))
}
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, n] = line.split(' ')
  try {
    if (!store || verb === 'close') break
    say((await reserve(store, Number(n))) ? 'reserved' : 'refused')
  } catch (error) {
    say(words(error))
  }
}
await store?.close()
process.exit()

async function reserve(open: Store, n: number): Promise<boolean> {
  return (await open.reserve(terms(n), [claim(1000n, 10_000n)], true)).ok
}
