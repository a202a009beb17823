/** Reads x402-buyer's configuration and authorizations, each from a single file or a directory. */
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import {
  readAuths,
  readConfig,
  UnreadableError,
  type AuthDocument,
  type UpstreamDocument,
} from './documents.ts'

/** Where the files are; each a file or a directory. */
export interface ObolPaths {
  readonly config: string
  /** Not needed if the configuration consists of PurchaseRequests. */
  readonly auths: string | undefined
}

/** The combined content of the files. */
export interface ObolFiles {
  readonly upstreams: ReadonlyMap<string, UpstreamDocument>
  readonly auths: ReadonlyMap<string, readonly AuthDocument[]>
  /** Files that cannot be parsed: upstream name to what is wrong. What was loaded before stays valid. */
  readonly unreadable: ReadonlyMap<string, string>
  /** A hash of all files. */
  readonly digest: string
}

/** The files cannot be read at all: a missing directory, or a single file that is invalid. */
export class ObolFilesError extends Error {
  override readonly name = 'ObolFilesError'
}

const CONFIG_EXTENSIONS: ReadonlySet<string> = new Set(['.json', '.yaml', '.yml'])

/**
 * Reads everything.
 * @throws ObolFilesError
 */
export async function readObolFiles({ config, auths }: ObolPaths): Promise<ObolFiles> {
  const hash = createHash('sha256')
  const upstreams = new Map<string, UpstreamDocument>()
  const pools = new Map<string, readonly AuthDocument[]>()
  const unreadable = new Map<string, string>()
  for (const { text, stem, path } of await readAll(config, CONFIG_EXTENSIONS)) {
    hash.update(`config\0${stem ?? ''}\0${text}\0`)
    understand(path, stem, unreadable, () => {
      const contents = readConfig(text, stem)
      for (const [name, upstream] of contents.upstreams) upstreams.set(name, upstream)
      for (const [name, list] of contents.auths) pools.set(name, list)
    })
  }
  for (const { text, stem, path } of auths === undefined ? [] : await readAll(auths, new Set(['.json']))) {
    hash.update(`auths\0${stem ?? ''}\0${text}\0`)
    understand(path, stem, unreadable, () => {
      for (const [name, list] of readAuths(text, stem)) pools.set(name, [...(pools.get(name) ?? []), ...list])
    })
  }
  return { upstreams, auths: pools, unreadable, digest: hash.digest('hex') }
}

interface ReadText {
  readonly path: string
  readonly text: string
  /** Set in a directory: the name of the upstream. */
  readonly stem: string | undefined
}

async function readAll(path: string, extensions: ReadonlySet<string>): Promise<ReadText[]> {
  try {
    if (!(await stat(path)).isDirectory())
      return [{ path, text: await readFile(path, 'utf8'), stem: undefined }]
    const names = (await readdir(path)).filter((name) => extensions.has(extname(name))).toSorted()
    return await Promise.all(
      names.map(async (name) => ({
        path: join(path, name),
        // A file that vanished since the listing, or is not readable, is treated like one that is invalid.
        text: await readFile(join(path, name), 'utf8').catch(() => ''),
        stem: basename(name, extname(name)),
      })),
    )
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ObolFilesError(`${path} cannot be read (${code}). Check the path and its permissions.`, {
      cause: error,
    })
  }
}

function understand(
  path: string,
  stem: string | undefined,
  unreadable: Map<string, string>,
  work: () => void,
): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error
    if (stem === undefined) throw new ObolFilesError(`${path} ${error.message}.`)
    unreadable.set(stem, `${path} ${error.message}`)
  }
}
