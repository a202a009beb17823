/**
 * Watches the free space where ledger and audit file are kept. Paid routes stop before a disk is full, so that what is in flight can
 * still be recorded.
 */
import { statfsSync } from 'node:fs'
import { TollwayError, type ErrorCode } from '../../core/errors.ts'

/** A file whose disk is watched. */
export interface WatchedFile {
  /** `audit` or `ledger`; a label of the metric. */
  readonly name: string
  /** A directory, which exists. */
  readonly directory: string
  /** The code of the refusal. */
  readonly code: Extract<ErrorCode, 'audit_unavailable' | 'store_unavailable'>
}

/** Options of {@link FreeSpace}. */
export interface FreeSpaceOptions {
  readonly files: readonly WatchedFile[]
  /** Free bytes below which {@link FreeSpace.check} refuses. */
  readonly minBytes: number
  /** Called when the answer of {@link FreeSpace.check} changed: with the refusal, or with `undefined` when there is room again. */
  readonly onChange?: ((refusal: TollwayError | undefined) => void) | undefined
  /** Free bytes of a directory's disk; replaced in tests. */
  readonly freeBytes?: ((directory: string) => number) | undefined
}

const MEBIBYTE = 1_048_576

/** The free space of the disks that ledger and audit file are on. */
export class FreeSpace {
  readonly #options: FreeSpaceOptions
  #wasLow = false

  constructor(options: FreeSpaceOptions) {
    this.#options = options
  }

  /** Free bytes by file; `undefined` for a disk that cannot be asked. */
  readings(): readonly { readonly name: string; readonly bytes: number | undefined }[] {
    return this.#options.files.map(({ name, directory }) => ({ name, bytes: this.#free(directory) }))
  }

  /** @throws TollwayError `audit_unavailable`, `store_unavailable` when less is free than the minimum */
  check(): void {
    const refusal = this.look()
    if (refusal) throw refusal
  }

  /** As {@link FreeSpace.check}, for a timer: reports a change, and throws nothing. */
  look(): TollwayError | undefined {
    const refusal = this.#refusal()
    const isLow = refusal !== undefined
    if (isLow !== this.#wasLow) this.#options.onChange?.(refusal)
    this.#wasLow = isLow
    return refusal
  }

  #refusal(): TollwayError | undefined {
    const { files, minBytes } = this.#options
    for (const { name, directory, code } of files) {
      const bytes = this.#free(directory)
      // A disk that cannot be asked is judged by its writes.
      if (bytes === undefined || bytes >= minBytes) continue
      const megabytes = (of: number): string => `${Math.floor(of / MEBIBYTE)} MB`
      return new TollwayError({
        code,
        message: `The disk of the ${name} has ${megabytes(bytes)} left, less than audit.min_free (${megabytes(minBytes)}), so paid routes refuse. Nothing was paid.`,
        advice: ['Make room there, or lower audit.min_free.'],
      })
    }
    return undefined
  }

  #free(directory: string): number | undefined {
    try {
      return (this.#options.freeBytes ?? freeBytesOf)(directory)
    } catch {
      return undefined
    }
  }
}

function freeBytesOf(directory: string): number {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize
}
