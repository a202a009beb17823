/** Brings an answer to where it is wanted: a file, the standard output, or a JSON object. */
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Reply } from '../../../core/request/exchange.ts'
import { ConfigError } from '../../../core/errors.ts'
import type { Terminal } from '../shared/terminal.ts'

/** Where an answer goes. */
export interface Delivery {
  /** Takes the whole body; rejects when it breaks off or cannot be written. */
  take(body: Reply['body']): Promise<void>
  /** Lets go of what was prepared and not used. */
  discard(): Promise<void>
}

/**
 * Prepares a file before anything is paid: one that cannot be written is found out in time. The old file stays until the
 * answer is there in full.
 * @throws ConfigError
 */
export async function toFile(path: string): Promise<Delivery> {
  const target = resolve(path)
  const draft = join(dirname(target), `.${basename(target)}.${process.pid}.part`)
  const file = await open(draft, 'wx', 0o644).catch((cause: unknown) => {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new ConfigError(`${path} cannot be written (${code}); nothing was paid.`, { cause })
  })
  return {
    async take(body) {
      for await (const chunk of body) await file.writeFile(chunk)
      await file.sync()
      await file.close()
      await rename(draft, target)
    },
    async discard() {
      await file.close().catch(() => undefined)
      await rm(draft, { force: true })
    },
  }
}

/** Passes the bytes on as they come. */
export function toOutput(terminal: Terminal): Delivery {
  return {
    async take(body) {
      for await (const chunk of body) await terminal.stdoutBytes(chunk)
    },
    discard: () => Promise.resolve(),
  }
}

/** Collects the bytes. */
export function toMemory(): Delivery & { readonly bytes: () => Buffer } {
  const chunks: Uint8Array[] = []
  return {
    async take(body) {
      for await (const chunk of body) chunks.push(chunk)
    },
    discard: () => Promise.resolve(),
    bytes: () => Buffer.concat(chunks),
  }
}

/** A body for JSON: as JSON where it is, as text where that loses nothing, else as base64. */
export function bodyJson(bytes: Buffer): Readonly<Record<string, unknown>> {
  const text = bytes.toString('utf8')
  if (!Buffer.from(text, 'utf8').equals(bytes)) return { body_base64: bytes.toString('base64') }
  try {
    return { body: JSON.parse(text) as unknown }
  } catch {
    return { body: text }
  }
}
