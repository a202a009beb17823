/**
 * Loaded before the tests, in their own process: the sources that start a thread start the bundled one (see bundle-program.ts).
 * A thread that compiles its sources costs a second, and hundreds of them are started.
 */
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const STARTS_THREAD = /\/src\/io\/signer\/(?:signer|solana\/solana-signer)\.ts$/
const bundles = process.env['TOLLWAY_TEST_BUNDLES']

if (bundles !== undefined) {
  const place = JSON.stringify(pathToFileURL(join(bundles, 'main.js')).href)
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      if (!STARTS_THREAD.test(url)) return loaded
      const source =
        typeof loaded.source === 'string'
          ? loaded.source
          : Buffer.from(loaded.source as Uint8Array).toString()
      return { ...loaded, source: source.replaceAll('import.meta.url', place) }
    },
  })
}
