import { createRequire } from 'node:module'

/** Tollway's version. It stands in its package under `src` and under `dist/src`: the package finds itself by name in both. */
export function packageVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)('tollway/package.json')
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}
