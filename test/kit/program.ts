/** The programs that tests start as processes: bundled when `npm test` runs (see tools/bundle-program.ts), else their sources. */
import { join } from 'node:path'

const { TOLLWAY_TEST_BUNDLES: bundles } = process.env
const programOf = (bundle: string, source: string): string =>
  bundles === undefined ? join(import.meta.dirname, '../..', source) : join(bundles, bundle)

/** `tollway`, the command line. */
export const MAIN = programOf('main.js', 'src/app/cli/main.ts')

/** A gateway that kills itself, for the crash campaign. */
export const CRASH_GATEWAY = programOf('crash-gateway.js', 'test/campaigns/crash-gateway.ts')
