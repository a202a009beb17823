/** Oldest Node the packages below run on; they fail on import with words nobody understands. */
const NEEDED = [22, 19] as const

/** What to tell somebody whose Node is too old, or `undefined` when it is not. Takes `process.versions.node`. */
export function unsupportedNode(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return undefined
  return `tollway needs Node ${NEEDED.join('.')} or newer, and this is Node ${version}. Install a newer Node and try again.`
}
