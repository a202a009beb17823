/** The report of `tollway doctor` for people: one line per finding, its fix below it. */
import { visibleLine } from '../../../core/visible.ts'
import type { Finding, FindingStatus } from '../../doctor/finding.ts'

const MARKS: Readonly<Record<FindingStatus, string>> = {
  ok: 'ok',
  note: '-',
  skipped: '-',
  warning: 'WARN',
  problem: 'FAIL',
}

/** The whole report, with a count at the end. */
export function renderDoctor(findings: readonly Finding[]): string {
  const problems = count(findings, 'problem')
  const warnings = count(findings, 'warning')
  const verdict =
    problems + warnings === 0
      ? 'Everything that was examined is in order.'
      : `${counted(problems, 'problem')}, ${counted(warnings, 'warning')}.`
  return `${renderFindings(findings)}\n${verdict}\n`
}

/** The findings alone. */
export function renderFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ area }) => area.length))
  const lines = findings.flatMap(({ area, status, text, fix }) => [
    `${MARKS[status].padEnd(4)}  ${area.padEnd(width)}  ${visibleLine(text)}\n`,
    ...(fix === undefined ? [] : [`${' '.repeat(width + 8)}${visibleLine(fix)}\n`]),
  ])
  return lines.join('')
}

/** One finding as JSON. */
export function findingJson({ fix, ...rest }: Finding): object {
  return { ...rest, fix: fix ?? null }
}

function count(findings: readonly Finding[], status: FindingStatus): number {
  return findings.filter((one) => one.status === status).length
}

function counted(number: number, name: string): string {
  return `${number} ${name}${number === 1 ? '' : 's'}`
}
