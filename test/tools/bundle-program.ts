/**
 * Bundles what the tests start over and over: the command line, the gateway of the crash campaign, and the threads that sign. A
 * bundle starts in half the time that some eight hundred source files take. The package itself is built by `tsc` alone and is
 * tested as it is built (test/package/package.consumer.ts).
 */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { rolldown, type InputOptions, type Plugin } from 'rolldown'

const ROOT = join(import.meta.dirname, '../..')
const DIRECTORY = join(ROOT, 'node_modules/.cache/tollway-program')

/** Modules that start a thread from the file beside them: `signer.worker.js`, `solana.worker.js`. */
const STARTS_THREAD = /\/src\/io\/signer\/(?:signer|solana\/solana-signer)\.ts$/

/** Entries by the name of their bundle. Threads are bundled alone, so that they load nothing that only the main thread uses. */
const BUNDLES: readonly Readonly<Record<string, string>>[] = [
  { main: 'src/app/cli/main.ts', 'crash-gateway': 'test/campaigns/crash-gateway.ts' },
  { 'signer.worker': 'src/io/signer/signer.worker.ts' },
  { 'solana.worker': 'src/io/signer/solana/solana.worker.ts' },
]

/** Optional packages and native ones stay where they are. */
const EXTERNAL = [
  /^@(?:x402|opentelemetry|modelcontextprotocol|solana|foundry-rs)\//,
  /\.node$/,
  'solc',
  // Its parts find each other in a way that no bundler follows.
  'jsonc-parser',
  'pg',
]

/**
 * Keeps every source file's idea of where it lies, and points those that start a thread to the bundled thread.
 * For Vite and Rolldown alike.
 */
export const bundledThreads: Pick<Plugin, 'name'> & {
  transform(code: string, id: string): string | undefined
} = {
  name: 'tollway-bundled-threads',
  transform: (code, id) => (STARTS_THREAD.test(id) ? placedAt(code, join(DIRECTORY, 'main.js')) : undefined),
}

const keepPlaces: Plugin = {
  name: 'tollway-keep-places',
  transform: (code, id) =>
    id.startsWith(ROOT) && !id.includes('/node_modules/') && code.includes('import.meta')
      ? placedAt(code, id)
      : undefined,
}

function placedAt(code: string, path: string): string {
  return code
    .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
    .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
}

/** Bundles everything. @returns the directory of the bundles, see {@link BUNDLES} */
export async function bundleProgram(): Promise<string> {
  await mkdir(DIRECTORY, { recursive: true })
  await Promise.all(
    BUNDLES.map(async (entries) => {
      const input = Object.fromEntries(
        Object.entries(entries).map(([name, path]) => [name, join(ROOT, path)]),
      )
      await bundle({ input })
    }),
  )
  return DIRECTORY
}

async function bundle(options: InputOptions): Promise<void> {
  const made = await rolldown({
    ...options,
    platform: 'node',
    external: EXTERNAL,
    plugins: [bundledThreads, keepPlaces],
  })
  const { output } = await made.generate({ format: 'esm', entryFileNames: '[name].js' })
  await made.close()
  // Entries last, and each file whole or not at all: another run of the tests may be using them.
  for (const file of output.toReversed()) {
    const path = join(DIRECTORY, file.fileName)
    await writeFile(`${path}.${process.pid}`, file.type === 'chunk' ? file.code : file.source)
    await rename(`${path}.${process.pid}`, path)
  }
}
