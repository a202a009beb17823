/** The answer of a paid service for an agent: text as it is, everything else in a file. */
import { createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Reply } from '../../core/request/exchange.ts'

/** What an agent gets of an answer. */
export type AnswerContent =
  | { readonly text: string }
  | { readonly file: string; readonly bytes: number; readonly sha256: string; readonly type: string }

/** Text above this goes to a file: it would fill the agent's context. Bytes. */
const MAX_TEXT = 262_144
/** The most that is read of one answer. Bytes. */
const MAX_ANSWER = 67_108_864

const TEXT = /^\s*(?:text\/|application\/(?:[\w.+-]*\+)?json|application\/(?:xml|x-ndjson|yaml))/i

const EXTENSIONS: Readonly<Record<string, string>> = {
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/webp': 'webp',
  'audio/mpeg': 'mp3',
  'audio/wav': 'wav',
  'video/mp4': 'mp4',
  'application/pdf': 'pdf',
  'application/zip': 'zip',
}

/**
 * Reads an answer to its end.
 * @param directory where files go; created when it is needed
 * @param name of the file, without its extension
 * @throws when the answer breaks off, is too long, or the file cannot be written
 */
export async function readAnswer(reply: Reply, directory: string, name: string): Promise<AnswerContent> {
  const header = reply.headers['content-type']
  const type = (typeof header === 'string' ? header : (header?.[0] ?? '')).trim()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of reply.body) {
    size += chunk.length
    if (size > MAX_ANSWER) throw new Error(`the answer is longer than ${MAX_ANSWER} bytes`)
    chunks.push(chunk)
  }
  const bytes = Buffer.concat(chunks)
  const text = TEXT.test(type) && size <= MAX_TEXT ? textOf(bytes) : undefined
  return text === undefined ? await toFile(bytes, type, directory, name) : { text }
}

/** Bytes that are not UTF-8 are not text, whatever their content type says. */
function textOf(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

async function toFile(bytes: Buffer, type: string, directory: string, name: string): Promise<AnswerContent> {
  const plain = type.split(';')[0]?.trim().toLowerCase() ?? ''
  const file = join(resolve(directory), `${name}.${EXTENSIONS[plain] ?? (TEXT.test(type) ? 'txt' : 'bin')}`)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { file, bytes: bytes.length, sha256, type: plain === '' ? 'unknown' : plain }
}
