import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** What of this process's heap and buffers is in use once everything else has been collected, bytes. */
export function liveBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') throw new Error('Node gave no way to collect garbage')
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
