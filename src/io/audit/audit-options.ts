/** The options of an audit file. */
import type { Clock } from '../../core/clock.ts'
import type { Replaced } from './audit-path.ts'
import type { CheckpointSigner } from './audit-signer.ts'
import type { AuditFs } from './audit-tail.ts'

/** How to open an audit file. */
export interface AuditFileOptions {
  /** The file, created with mode 0600 when missing. Its directory must exist; `<path>.lock` is created there too. */
  readonly path: string
  readonly clock: Clock
  /** The id of the writer, for the error message of another process that finds the file locked. */
  readonly instance: string
  /** The file system; for tests that let it fail. */
  readonly fs?: AuditFs | undefined
  /** Signs checkpoints. Default: no checkpoints. */
  readonly signer?: CheckpointSigner | undefined
  /** Number of records between two checkpoints; default 1000. */
  readonly checkpointEvery?: number | undefined
  /** Size at which the file is rotated, bytes; default never. */
  readonly rotateBytes?: number | undefined
  /** Whether the file is rotated with the first record of a day (UTC); default false. */
  readonly rotateDaily?: boolean | undefined
  /** Called when the file was moved, deleted or truncated while it was open, and its chain continues in a new one. */
  readonly onReplaced?: ((why: Replaced) => void) | undefined
  /** How many rotated files are kept; default all. */
  readonly retain?: number | undefined
}
