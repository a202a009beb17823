/**
 * `tollway doctor`: examines an installation without changing or paying anything. Each part is examined for itself, so that
 * one that fails hides no other.
 */
import { ConfigError } from '../../core/errors.ts'
import { loadConfig } from '../config/load.ts'
import { ConfigProblemsError, formatProblem } from '../config/values/problems.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import type { Environment } from '../config/values/secrets.ts'
import { examineLitellm, examineOpenclaw } from './examine-clients.ts'
import { examineAudit, examineStore } from './examine-files.ts'
import { examineNodes } from './examine-nodes.ts'
import { examinePools } from './examine-pools.ts'
import { examineProgram } from './examine-program.ts'
import { examineSellers } from './examine-sellers.ts'
import { examineGateway, examineMetrics, examineUpstream } from './examine-services.ts'
import { examineWallets } from './examine-wallets.ts'
import { AREAS, findingsOf, type Finding } from './finding.ts'

/** What to examine. */
export interface DoctorOptions {
  /** The configuration file. */
  readonly config: string
  /** A LiteLLM proxy configuration to examine as well. */
  readonly litellm?: string | undefined
  /** Sends nothing to anyone. */
  readonly offline: boolean
}

/**
 * @param now milliseconds since the epoch
 * @param signal stops the questions to sellers
 */
export async function examine(
  options: DoctorOptions,
  env: Environment,
  now: number,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { config, findings } = configured(options.config, env)
  const found = [...examineProgram(), ...findings]
  if (!config) return found
  const { offline, litellm } = options
  const { listen } = config
  const local = [
    examineStore(config, now),
    Promise.resolve(examineAudit(config.audit)),
    examineWallets(config, offline),
    examinePools(config, now),
    Promise.resolve(examineOpenclaw(listen, env)),
    Promise.resolve(litellm === undefined ? [] : examineLitellm(listen, litellm)),
  ]
  const remote = offline
    ? []
    : [
        examineNodes(config, now),
        examineSellers(config, signal),
        examineUpstream(config.upstream),
        examineGateway(config),
        examineMetrics(config),
      ]
  return inOrder([...found, ...(await Promise.all([...local, ...remote])).flat()])
}

/** By area, in the order in which things depend on each other. */
function inOrder(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => AREAS.indexOf(a.area) - AREAS.indexOf(b.area))
}

function configured(
  file: string,
  env: Environment,
): { readonly config?: ResolvedConfig; readonly findings: Finding[] } {
  const { ok, note, warning, problem } = findingsOf('configuration')
  try {
    const config = loadConfig(file, env)
    const paid = config.routes.filter(({ payer }) => payer !== undefined).length
    const unlimited =
      paid > 0 && config.budgets.length === 0
        ? [
            warning(
              'There are paid routes but no budgets: only the ceiling per request limits spending.',
              'Add a budget, such as budgets: [{ name: all, limit_usd: 5, window: day }].',
            ),
          ]
        : []
    const ignored = config.ignoredKeys.map((key) => note(`${key} has no effect here.`))
    return { config, findings: [ok(`${file} is valid: ${paid} paid routes.`), ...unlimited, ...ignored] }
  } catch (error) {
    if (!(error instanceof ConfigProblemsError))
      throw error instanceof Error ? error : new ConfigError('the configuration cannot be read')
    const fix = 'Each message says what to write; tollway check --help shows an example.'
    return { findings: error.problems.map((one) => problem(formatProblem(one), fix)) }
  }
}
