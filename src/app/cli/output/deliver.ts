/** Writes a response to a file, to standard output, or into a JSON object. */
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Reply } from '../../../core/request/exchange.ts'
import { ConfigError } from '../../../core/errors.ts'
import type { Terminal } from '../shared/terminal.ts'

/** Where a response goes. */
export interface Delivery {
  /** Takes the whole body; rejects when it breaks off or cannot be written. */
  take(body: Reply['body']): Promise<void>
  /** Removes what was prepared and not used. */
  discard(): Promise<void>
}

/**
 * Opens a draft file before anything is paid, so that an unwritable path costs nothing. An existing file stays until the
 * response is complete.
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

/** Writes the bytes to standard output as they arrive. */
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

/** A body as JSON fields: parsed if it is JSON, as text if it is UTF-8, else as base64. */
export function bodyJson(bytes: Buffer): Readonly<Record<string, unknown>> {
  const text = bytes.toString('utf8')
  if (!Buffer.from(text, 'utf8').equals(bytes)) return { body_base64: bytes.toString('base64') }
  try {
    return { body: JSON.parse(text) as unknown }
  } catch {
    return { body: text }
  }
}
