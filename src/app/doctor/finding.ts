/** What `tollway doctor` found in one place. */

/** `skipped`: not looked at, and why. `note`: a fact that needs no action. */
export type FindingStatus = 'ok' | 'note' | 'warning' | 'problem' | 'skipped'

/** The areas of an installation that are examined, in the order of the report. */
export const AREAS = [
  'program',
  'configuration',
  'store',
  'audit',
  'keys',
  'wallets',
  'nodes',
  'sellers',
  'pools',
  'upstream',
  'gateway',
  'metrics',
  'openclaw',
  'litellm',
] as const

/** One of {@link AREAS}. */
export type FindingArea = (typeof AREAS)[number]

/** One finding. */
export interface Finding {
  readonly area: FindingArea
  readonly status: FindingStatus
  /** A sentence: what was found. */
  readonly text: string
  /** What to do about it; every warning and every problem has one. */
  readonly fix?: string | undefined
}

/** Makes the findings of one area. */
export function findingsOf(area: FindingArea) {
  return {
    ok: (text: string): Finding => ({ area, status: 'ok', text }),
    note: (text: string): Finding => ({ area, status: 'note', text }),
    skipped: (text: string): Finding => ({ area, status: 'skipped', text }),
    warning: (text: string, fix: string): Finding => ({ area, status: 'warning', text, fix }),
    problem: (text: string, fix: string): Finding => ({ area, status: 'problem', text, fix }),
  } as const
}
