import { packageVersion } from '../package-version.ts'
import { findingsOf, type Finding } from './finding.ts'

const { ok } = findingsOf('program')

/** The versions that a report of a fault needs. An unsupported Node is refused before any command runs. */
export function examineProgram(node = process.versions.node): Finding[] {
  return [ok(`tollway ${packageVersion()} on Node ${node}, ${process.platform} ${process.arch}.`)]
}
