/** How an audit file is opened. */
import type { Clock } from '../../core/clock.ts'
import type { CheckpointSigner } from './audit-signer.ts'
import type { AuditFs } from './audit-tail.ts'

/** How to open an audit file. */
export interface AuditFileOptions {
  /** Its directory must exist; made with mode 0600 when missing. `<path>.lock` is made beside it. */
  readonly path: string
  readonly clock: Clock
  /** Who writes, for whoever finds the file locked. */
  readonly instance: string
  /** The disk; for tests that let it fail. */
  readonly fs?: AuditFs | undefined
  /** Signs checkpoints; without it there are none. */
  readonly signer?: CheckpointSigner | undefined
  /** Records between two checkpoints; default 1000. */
  readonly checkpointEvery?: number | undefined
  /** Size from which a new file is begun, bytes; default never. */
  readonly rotateBytes?: number | undefined
  /** Whether a new file is begun with the first record of a day (UTC). */
  readonly rotateDaily?: boolean | undefined
  /** How many files that were put away are kept; default all. */
  readonly retain?: number | undefined
}
