import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** The rules of this package for Prometheus; ours stands under `src` and under `dist/src`, so the package finds itself by name. */
export function rulesDirectory(): string {
  const manifest = createRequire(import.meta.url).resolve('tollway/package.json')
  return join(dirname(manifest), 'dashboards/prometheus')
}
