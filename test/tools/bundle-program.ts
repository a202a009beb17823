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

/** Entries by the name of their bundle. One file each: to find and link some hundred chunks costs more than to read them all. */
const BUNDLES: readonly (readonly [name: string, path: string])[] = [
  ['main', 'src/app/cli/main.ts'],
  ['crash-gateway', 'test/campaigns/crash-gateway.ts'],
  ['signer.worker', 'src/io/signer/signer.worker.ts'],
  ['solana.worker', 'src/io/signer/solana/solana.worker.ts'],
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

/** Points the sources that start a thread to the bundled thread. */
const useBundledThreads: Plugin = {
  name: 'tollway-bundled-threads',
  transform: (code, id) => (STARTS_THREAD.test(id) ? placedAt(code, join(DIRECTORY, 'main.js')) : undefined),
}

/** Keeps every other source file's idea of where it lies. */
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
  // Without this, node reads each file twice to learn that it is a module.
  await writeWhole('package.json', '{ "type": "module" }')
  await Promise.all(BUNDLES.map(([name, path]) => bundle({ input: { [name]: join(ROOT, path) } })))
  return DIRECTORY
}

async function bundle(options: InputOptions): Promise<void> {
  const made = await rolldown({
    ...options,
    platform: 'node',
    external: EXTERNAL,
    plugins: [useBundledThreads, keepPlaces],
  })
  const { output } = await made.generate({ format: 'esm', entryFileNames: '[name].js', codeSplitting: false })
  await made.close()
  for (const file of output) await writeWhole(file.fileName, file.type === 'chunk' ? file.code : file.source)
}

/** Writes a file whole or not at all: another run of the tests may be using it. */
async function writeWhole(name: string, content: string | Uint8Array): Promise<void> {
  const path = join(DIRECTORY, name)
  await writeFile(`${path}.${process.pid}`, content)
  await rename(`${path}.${process.pid}`, path)
}
