import { packageFile } from '../package-version.ts'

/** Directory of the Prometheus rules in this package. */
export function rulesDirectory(): string {
  return packageFile('dashboards/prometheus')
}
