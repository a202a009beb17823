/** `${env:NAME}`, `${file:path}` and `${credential:NAME}`: the only way a secret gets into a configuration. */
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { credentialPath, isCredentialName } from '../../../io/files/credential.ts'
import type { SecretReference } from '../../../core/payer/key-reference.ts'
import { takenBy } from '../../../io/signer/key-variable.ts'

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The environment and directory that references are resolved against. */
export interface SecretContext {
  readonly env: Environment
  /** Directory that relative `${file:…}` paths are resolved from. */
  readonly directory: string
  /** Read again by the process that took the keys out of its environment: those count as there. */
  readonly again?: boolean | undefined
}

/** A text, or the reason why it could not be read. */
export type Resolved = { readonly text: string } | { readonly fault: string }

const REFERENCE = /\$\{(env|file|credential):([^{}]*)\}/g
const WHOLE = /^\$\{(env|file|credential):([^{}]*)\}$/
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const MAX_FILE_BYTES = 65_536
const WORLD_READABLE = 0o004

/** What {@link parseReference} expects, for messages. */
export const REFERENCE_HELP = 'Write "${env:NAME}", "${file:path}" or "${credential:NAME}".'

/** Parses a text that is exactly one reference; the path of a file is made absolute. */
export function parseReference(text: string, directory: string): SecretReference | undefined {
  const match = WHOLE.exec(text)
  const target = match?.[2] ?? ''
  if (match?.[1] === 'env') return ENV_NAME.test(target) ? { source: 'env', name: target } : undefined
  if (match?.[1] === 'credential')
    return isCredentialName(target) ? { source: 'credential', name: target } : undefined
  if (match?.[1] === 'file')
    return target.trim() === '' ? undefined : { source: 'file', path: resolve(directory, target) }
  return undefined
}

/** Replaces every reference inside a text. Resolved values are never searched for further references. */
export function resolveText(text: string, context: SecretContext): Resolved {
  const faults: string[] = []
  const rest = text.replace(REFERENCE, '')
  if (rest.includes('${')) return { fault: `has a $\{ that begins no reference. ${REFERENCE_HELP}` }
  const result = text.replace(REFERENCE, (whole) => {
    const reference = parseReference(whole, context.directory)
    const resolved = reference === undefined ? malformed() : readReference(reference, context)
    if ('text' in resolved) return resolved.text
    faults.push(resolved.fault)
    return ''
  })
  return faults[0] === undefined ? { text: result } : { fault: faults[0] }
}

/** Checks that a reference can be resolved, without reading its value; returns '' if it can. */
export function missingReference(reference: SecretReference, context: SecretContext): string {
  if (reference.source === 'env') {
    // Checks the name only: reading the value would bring the key into this thread's memory (rule 8).
    const isThere = Object.keys(context.env).includes(reference.name)
    if (isThere || (context.again === true && takenBy(reference.name) !== undefined)) return ''
    return unset(reference.name, context.env)
  }
  const place = placeOf(reference, context)
  if ('fault' in place) return place.fault
  const stat = statSync(place.path, { throwIfNoEntry: false })
  return stat?.isFile() === true ? '' : unreadable(place.path)
}

/** The file of a reference that names one. */
function placeOf(
  reference: Exclude<SecretReference, { source: 'env' }>,
  { env }: SecretContext,
): { readonly path: string } | { readonly fault: string } {
  if (reference.source === 'file') return reference
  const found = credentialPath(reference.name, env)
  return 'fault' in found ? { fault: `needs ${found.fault}` } : found
}

function readReference(reference: SecretReference, context: SecretContext): Resolved {
  if (reference.source !== 'env') {
    const place = placeOf(reference, context)
    return 'fault' in place ? place : readSecretFile(place.path)
  }
  const value = Object.hasOwn(context.env, reference.name) ? context.env[reference.name] : undefined
  if (value === undefined) return { fault: unset(reference.name, context.env) }
  if (value === '')
    return { fault: `needs the environment variable ${reference.name}, which is empty. Give it a value.` }
  return { text: value }
}

function readSecretFile(path: string): Resolved {
  try {
    const stat = statSync(path)
    if (!stat.isFile()) return { fault: unreadable(path) }
    if (process.platform !== 'win32' && (stat.mode & WORLD_READABLE) !== 0) {
      return {
        fault: `needs the file ${path}, which every user on this machine may read. Run: chmod o-rwx ${path}`,
      }
    }
    if (stat.size > MAX_FILE_BYTES)
      return { fault: `needs the file ${path}, which is over ${MAX_FILE_BYTES} bytes.` }
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '')
    return text === '' ? { fault: `needs the file ${path}, which is empty. Put the secret in it.` } : { text }
  } catch {
    return { fault: unreadable(path) }
  }
}

function unset(name: string, env: Environment): string {
  // Signers take the variables of the process alone.
  const owner = env === process.env ? takenBy(name) : undefined
  return owner === undefined
    ? `needs the environment variable ${name}, which is not set. Set it before the start.`
    : `needs the environment variable ${name}, which was taken by ${owner}. Set process.env.${name} again before you open it again.`
}

function unreadable(path: string): string {
  return `needs the file ${path}, which is not there or cannot be read. Relative paths start at the configuration file.`
}

function malformed(): Resolved {
  return { fault: `has a reference without a usable name. ${REFERENCE_HELP}` }
}
