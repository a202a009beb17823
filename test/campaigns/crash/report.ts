/** The campaign's figures: as JSON to keep, and as the section of docs/verification.md. */
import { execFileSync } from 'node:child_process'
import type { CampaignResult } from './campaign.ts'
import { fullestWindows } from './checks.ts'
import { countBy, phaseOf, type Blow } from './tally.ts'
import { STEPS } from './steps.ts'

/** What the run was. */
export interface RunFacts {
  readonly command: string
  readonly seed: number
  readonly date: string
}

/** Everything that is kept of a run. */
export type CrashReport = ReturnType<typeof composeReport>

/** Composes the report. Amounts are decimal strings of smallest units. */
export function composeReport(result: CampaignResult, facts: RunFacts) {
  const { tally, before, after, uses, trail, answers } = result
  const { blows } = tally
  const settled = after.charges.filter(({ state }) => state === 'settled')
  const sum = (amounts: readonly bigint[]): string =>
    amounts.reduce((total, amount) => total + amount, 0n).toString()
  const lastWords = after.charges.filter(({ id, state }) => trail.lastWords.get(id) !== state)
  return {
    ...facts,
    revision: revision(),
    node: process.version,
    gateways: result.gateways,
    seconds: result.seconds,
    violations: result.violations,
    kills: {
      total: blows.length,
      record_to_receipt: tally.recordToReceipt,
      record_to_receipt_share: (tally.recordToReceipt / Math.max(1, blows.length)).toFixed(3),
      by_kind: tally.count(kindOf),
      by_phase: tally.count(phaseOf),
      by_step: tally.count(({ death }) => death.step),
      steps_never_reached: STEPS.filter((step) => !blows.some(({ death }) => death.step === step)),
      with_slow_blocks: blows.filter(({ slowBlocks }) => slowBlocks).length,
    },
    checks_after_restart: tally.checks,
    start_ms_median: tally.startMs.toSorted((a, b) => a - b)[tally.startMs.length >> 1] ?? null,
    load: {
      requests: result.requests,
      answers: answers.length,
      lost_with_the_gateway: answers.filter(({ status, left }) => status === undefined && !left).length,
      left_by_the_client: answers.filter(({ left }) => left).length,
      by_status: countBy(
        answers.map(({ status, code }) => [status ?? 'none', code].filter(Boolean).join(' ')),
      ),
    },
    charges: {
      total: after.charges.length,
      before_the_last_reconcile: countBy(before.charges.map(describeState)),
      after_the_last_reconcile: countBy(after.charges.map(describeState)),
      released_after_being_signed: after.charges.filter(
        ({ state, nonce }) => state === 'released' && nonce !== null,
      ).length,
    },
    to_the_atom: {
      ledger_settled: sum(settled.map(({ amount }) => amount)),
      chain_moved: sum(uses.map(({ amount }) => amount)),
      charges_settled: settled.length,
      authorizations_used: uses.length,
      uncertain: after.charges.filter(({ state }) => state === 'uncertain').length,
    },
    budgets: [
      ...after.peaks
        .filter(({ window }) => !window.startsWith('rolling-'))
        .map(({ budget, subject, window, windowStart, peak }) => ({
          budget: subject === '*' ? budget : `${budget} ${subject}`,
          window: window === 'lifetime' ? window : `${window} from ${new Date(windowStart).toISOString()}`,
          highest_micro_usd: peak.toString(),
          largest_limit_micro_usd: (result.limits.get(budget) ?? 0n).toString(),
        })),
      ...fullestWindows(after).map(({ budget, window, sum: most }) => ({
        budget,
        window,
        highest_micro_usd: most.toString(),
        largest_limit_micro_usd: (result.limits.get(budget) ?? 0n).toString(),
      })),
    ],
    audit: {
      files: trail.files,
      records: trail.records,
      torn_by_a_kill: tally.torn,
      repaired: trail.repaired,
      charges_whose_last_state_no_record_tells: lastWords.length,
    },
  }
}

function kindOf({ kill, death, collateral }: Blow): string {
  if (death.step !== undefined) return 'by itself at a step'
  if (collateral) return 'with another gateway'
  return kill.kind === 'step' ? 'by the clock, the step was not come to' : `by the clock since ${kill.since}`
}

function describeState({
  state,
  proof,
  reason,
}: {
  state: string
  proof: string | null
  reason: string | null
}): string {
  return state === 'settled' ? `settled by ${proof}` : `${state}: ${reason}`
}

function revision(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

/** The section of docs/verification.md. */
export function renderReport(report: CrashReport): string {
  const { kills, charges, to_the_atom: atom, audit, load } = report
  const table = (head: readonly [string, string], rows: Readonly<Record<string, number>>): string =>
    [
      `| ${head[0]} | ${head[1]} |`,
      '| --- | ---: |',
      ...Object.entries(rows).map(([name, count]) => `| ${name} | ${count} |`),
    ].join('\n')
  return `## Crash campaign

\`${report.command}\` on ${report.date}, Node ${report.node}, ${report.seconds} s, revision \`${report.revision.slice(0, 12)}\`.

${report.gateways} gateways share one SQLite ledger and are killed with SIGKILL again and again while clients pay official sellers on a local
chain: half of the kills by the clock, half by the process itself at a recorded step. Settlements are delayed, fail, or come after the
seller gave up; for a third of the time blocks come every two seconds. After every restart the ledger is read from outside and held
against the chain. In the end the chain's clock passes every validBefore and \`tollway reconcile\` has the last word. The seed repeats
the plan of kills and faults, not the timing of the processes.

- Invariants broken: **${report.violations.length}**, in ${report.checks_after_restart} checks after restarts.
- Kills: **${kills.total}**; between record and receipt: **${kills.record_to_receipt}** (${percent(kills.record_to_receipt_share)}).
- Ledger settled **${atom.ledger_settled}** atomic units in ${atom.charges_settled} charges; the chain moved **${atom.chain_moved}** in ${atom.authorizations_used} transfers; uncertain: ${atom.uncertain}.
- Signed and released on the chain's proof: ${charges.released_after_being_signed} charges.
- Requests: ${load.requests}; answers lost with a gateway: ${load.lost_with_the_gateway}.
- Audit: ${audit.records} records in ${audit.files} files, all chains hold; lines torn by a kill: ${audit.torn_by_a_kill}, repaired: ${audit.repaired}.

${table(['Where the kill fell', 'Kills'], kills.by_phase)}

${table(['Step at which the process killed itself', 'Kills'], kills.by_step)}

${table(['Charges before the last reconcile', 'Count'], charges.before_the_last_reconcile)}

${table(['Charges after it', 'Count'], charges.after_the_last_reconcile)}
`
}

function percent(share: string): string {
  return `${(Number(share) * 100).toFixed(1)} %`
}
