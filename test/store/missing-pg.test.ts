/** A Postgres ledger without the optional package that reads it. */
import { expect, test } from 'vitest'
import { run } from '../kit/child.ts'

const STORE = new URL('../../src/io/ledger/open-store.ts', import.meta.url).href
/** Node's own error for a package that is not installed. */
const WITHOUT_PG = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  registerHooks({ resolve(name, context, next) { return next(name === 'pg' ? 'pg-that-is-not-installed' : name, context) } })
`)}`

test('a missing pg is told with the line that installs it', async () => {
  const program = `import('${STORE}').then(({ openStore }) => openStore('postgres://u@127.0.0.1:1/d')).catch((error) => console.log(error.name, error.message))`
  const { stdout } = await run(process.execPath, ['--import', WITHOUT_PG, '-e', program], {
    cwd: import.meta.dirname,
  })
  expect(stdout).toBe(
    'ConfigError store: a Postgres ledger needs the package pg, which is not installed. Run npm i pg beside tollway, then start again.\n',
  )
})
