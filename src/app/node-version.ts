/** Oldest Node that the dependencies support; on an older one they fail to load with an obscure error. */
const NEEDED = [22, 19] as const

/** The error message for a Node that is too old, else `undefined`. @param version `process.versions.node` */
export function unsupportedNode(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return undefined
  return `tollway needs Node ${NEEDED.join('.')} or newer, and this is Node ${version}: install a newer Node and try again.`
}
