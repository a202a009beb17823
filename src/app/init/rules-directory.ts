import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Directory of the Prometheus rules in this package. Resolved by package name, because this file runs from `src` and `dist/src`. */
export function rulesDirectory(): string {
  const manifest = createRequire(import.meta.url).resolve('tollway/package.json')
  return join(dirname(manifest), 'dashboards/prometheus')
}
