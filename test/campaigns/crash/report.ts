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
      'of these, between record and receipt',
      `${kills.record_to_receipt} (${percent(kills.record_to_receipt_share)})`,
    ],
    ['of these, while blocks came every two seconds', kills.with_slow_blocks],
    ['requests; answers lost with their gateway', `${load.requests}; ${load.lost_with_the_gateway}`],
    ['charges', charges.total],
    ['settled in the ledger, atomic units (charges)', `${atom.ledger_settled} (${atom.charges_settled})`],
    ['moved on the chain, atomic units (transfers)', `${atom.chain_moved} (${atom.authorizations_used})`],
    ['uncertain at the end', atom.uncertain],
    ['signed, never taken, and released on proof from the chain', charges.released_after_being_signed],
    ['audit records (files); files with a broken hash chain', `${audit.records} (${audit.files}); 0`],
    ['audit lines torn by a kill and repaired', audit.repaired],
    [
      'charges whose last state is missing from the audit files',
      audit.charges_whose_last_state_no_record_tells,
    ],
  ]
  return `## Crash campaign

Claim: at whatever moment a gateway dies, the ledger ends up in agreement with the chain to the last atomic unit, no budget is exceeded at any
moment, and no request is paid twice (rules 2 to 5 and 10).

${report.gateways} gateways (\`tollway serve\`) share one ledger file and are repeatedly killed with SIGKILL while clients pay official sellers on a local chain,
streamed and not, x402 v1 and v2. Half of the kills happen at random times, half at one of ${STEPS.length} steps inside the process, from the reservation to
the relayed answer, including the middle of a transaction, the middle of an audit line, the takeover of a dead process, and recording a result from the chain.
Settlements are delayed, fail, or arrive after the seller gave up; sellers fail; clients leave, and repeat the request under the same request id. The
budgets (lifetime, hours in three time zones, rolling, per model) stay a few calls above what is counted. After every restart the ledger is read from
outside and compared with its own charges and with the chain; a trigger in the file keeps the highest sum of every budget window. At the end, the chain's clock
moves past every validBefore, and \`tollway reconcile\` runs a last time. The seed reproduces the plan of kills and faults, not the timing of the
processes.

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
