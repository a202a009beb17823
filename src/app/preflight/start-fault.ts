import type { ConfigPath } from '../config/values/problems.ts'

/** Why the gateway would not start on this machine, although its configuration is valid. */
export interface StartFault {
  /** The setting that leads there. */
  readonly path: ConfigPath
  /** What is wrong and what to do about it. */
  readonly message: string
  /** It is only that a gateway runs already, with this address or these files. */
  readonly isRunning: boolean
}

/** A fault that stays until someone mends it. */
export function fault(path: ConfigPath, message: string): StartFault {
  return { path, message, isRunning: false }
}
