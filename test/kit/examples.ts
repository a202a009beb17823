/** The examples, as they are in a project that has the package installed, and what they need of a sandbox. */
import { cp, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sellerAddresses } from '../../src/app/sandbox/own-config.ts'
import type { Sandbox } from '../../src/app/sandbox/sandbox.ts'

const ROOT = join(import.meta.dirname, '../..')

/** To be preloaded (`node --import`): examples find the sources where they ask for the package. */
export const RUN_EXAMPLES = new URL('run-examples.ts', import.meta.url).href

/** The variables that the sandbox prints. */
export function sandboxVariables({ world }: Pick<Sandbox, 'world'>): Readonly<Record<string, string>> {
  return {
    TOLLWAY_WALLET_KEY: world.chain.accounts.buyer.privateKey,
    TOLLWAY_SELLER: sellerAddresses(world).streaming,
  }
}

/**
 * Copies the examples.
 * @param made the copy is added here, for whoever removes it
 * @param change text that is to be replaced in every file, for instance fixed ports
 */
export async function examplesProject(
  made: string[],
  change: Readonly<Record<string, string>> = {},
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-examples-'))
  made.push(directory)
  await cp(join(ROOT, 'examples'), directory, { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  if (Object.keys(change).length === 0) return directory
  const entries = await readdir(join(ROOT, 'examples'), { recursive: true, withFileTypes: true })
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(directory, join(entry.parentPath, entry.name).slice(join(ROOT, 'examples').length))
    const text = await readFile(path, 'utf8')
    await writeFile(
      path,
      Object.entries(change).reduce((now, [from, to]) => now.replaceAll(from, to), text),
    )
  }
  return directory
}
