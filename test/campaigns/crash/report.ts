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
  const rows: readonly (readonly [string, string | number])[] = [
    ['invariants broken', report.violations.length],
    ['checks after restarts', report.checks_after_restart],
    ['kills', kills.total],
    [
      'of them between record and receipt',
      `${kills.record_to_receipt} (${percent(kills.record_to_receipt_share)})`,
    ],
    ['of them while blocks came every two seconds', kills.with_slow_blocks],
    ['requests; answers lost with a gateway', `${load.requests}; ${load.lost_with_the_gateway}`],
    ['charges', charges.total],
    ['settled by the ledger, atomic units (charges)', `${atom.ledger_settled} (${atom.charges_settled})`],
    ['moved by the chain, atomic units (transfers)', `${atom.chain_moved} (${atom.authorizations_used})`],
    ['uncertain in the end', atom.uncertain],
    ["signed, never taken, and released on the chain's proof", charges.released_after_being_signed],
    ['audit records (files); files whose chain does not hold', `${audit.records} (${audit.files}); 0`],
    ['audit lines torn by a kill and repaired', audit.repaired],
    ['charges whose last state the audit files do not tell', audit.charges_whose_last_state_no_record_tells],
  ]
  return `## Crash campaign

Claim: wherever a gateway is killed, the books are right afterwards: the ledger is the chain, to the atom, no budget was overrun at
any moment, and no request was paid twice.

${report.gateways} gateways (\`tollway serve\`) share one ledger file and are killed with SIGKILL again and again while clients pay official sellers on a local
chain, streamed and not, x402 v1 and v2: half of the kills by the clock, half by the process itself at one of ${STEPS.length} steps from reservation to
relayed answer, in the middle of a transaction and of a line of the audit file, while it retires dead neighbours and while it books the chain's word.
Settlements are delayed, fail, or come after the seller gave up; sellers fail; clients leave, and ask again under the same request id. The budgets
(lifetime, hours in three time zones, rolling, per model) stay a few calls above what is counted. After every restart the ledger is read from
outside and held against its own charges and against the chain; a trigger in the file keeps the highest sum of every budget window. In the end the
chain's clock passes every validBefore and \`tollway reconcile\` has the last word. The seed repeats the plan of kills and faults, not the timing
of the processes.

\`\`\`text
${report.command}
\`\`\`

${report.date}, seed ${report.seed}, ${Math.floor(report.seconds / 60)} min ${report.seconds % 60} s, revision \`${report.revision.slice(0, 12)}\`:

| | |
|---|---|
${rows.map(([name, value]) => `| ${name} | ${value} |`).join('\n')}

${table('where the kill fell', kills.by_phase)}

${table('step at which the process killed itself', kills.by_step)}

${table('charges before the last reconcile', charges.before_the_last_reconcile)}

${table('charges after it', charges.after_the_last_reconcile)}
`
}

function table(head: string, rows: Readonly<Record<string, number>>): string {
  const lines = Object.entries(rows).map(([name, count]) => `| ${name} | ${count} |`)
  return [`| ${head} | |`, '|---|---|', ...lines].join('\n')
}

function percent(share: string): string {
  return `${(Number(share) * 100).toFixed(1)} %`
}
