/**
 * Completes package-lock.json after `npm install` against a registry that lacks some platform builds of a tool: npm
 * leaves them out of the lock file without a word, and `npm ci` then refuses the whole lock file. The entries added here
 * are those that a complete registry would have led to, less the integrity of files nobody could look at; npm skips them
 * on every other platform. Run: npm run lock:complete
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Entry {
  readonly version?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly dev?: boolean
  readonly devOptional?: boolean
}

const FILE = join(import.meta.dirname, '../../package-lock.json')
const SYSTEMS = new Set([
  'android',
  'darwin',
  'freebsd',
  'linux',
  'openharmony',
  'win32',
  'netbsd',
  'openbsd',
  'sunos',
  'aix',
])
const CPUS: Readonly<Record<string, string>> = {
  riscv64: 'riscv64',
  s390x: 's390x',
  ppc64: 'ppc64',
  arm64: 'arm64',
  arm: 'arm',
  ia32: 'ia32',
  x64: 'x64',
}

const lock = JSON.parse(readFileSync(FILE, 'utf8')) as { packages: Record<string, Entry> }
const added: string[] = []
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`
    if (path in lock.packages) continue
    lock.packages[path] = {
      version,
      ...platformOf(name),
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
    } as Entry
    added.push(name)
  }
}
const sorted = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(FILE, `${JSON.stringify({ ...lock, packages: sorted }, undefined, 2)}\n`)
console.log(
  added.length === 0
    ? 'The lock file is complete.'
    : `Added ${added.length} platform builds:\n${added.join('\n')}`,
)

/** The platform a package name such as `@oxlint/binding-linux-x64-musl` tells. */
function platformOf(name: string): object {
  const parts = name.split(/[/-]/)
  const os = parts.find((part) => SYSTEMS.has(part))
  const cpu = parts.map((part) => CPUS[part]).find((known) => known !== undefined)
  const libc = /musl/.test(name) ? 'musl' : /gnu/.test(name) && os === 'linux' ? 'glibc' : undefined
  if (os === undefined || cpu === undefined)
    throw new Error(`${name} is missing in the lock file and names no platform`)
  return { os: [os], cpu: [cpu], ...(libc ? { libc: [libc] } : {}) }
}
