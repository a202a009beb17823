import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where ledgers and audit files are while the benchmark runs, for mkdtemp. `TMPDIR` puts them on another disk. */
export const WORK_DIRECTORY = join(tmpdir(), 'tollway-bench-')
