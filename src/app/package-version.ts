import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/**
 * Tollway's version; `unknown` in a bundle, which has no package to ask. This file is found under `src` and under `dist/src`; in
 * both the package resolves itself by name.
 */
export function packageVersion(): string {
  const manifest = manifestOf(createRequire(import.meta.url))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}

/** A file of the package, by its path in it. */
export function packageFile(path: string): string {
  return join(dirname(createRequire(import.meta.url).resolve('tollway/package.json')), path)
}

function manifestOf(require: NodeJS.Require): unknown {
  try {
    return require('tollway/package.json')
  } catch {
    return undefined
  }
}
