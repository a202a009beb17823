/** Ends the import of an entry of the package on a Node that is too old. The first import of each entry; see test/tools/lazy-entries.ts. */
import { unsupportedNode } from './node-version.ts'

const fault = unsupportedNode(process.versions.node)
if (fault !== undefined) throw new Error(fault)
