/** Caller keys for `tollway keys`: the keys and their digests are never shown. */
import type { CallerKey } from '../../../io/callers/caller-keys.ts'
import { renderTable } from './table.ts'

/** The keys as a table for people. @param now milliseconds since the epoch */
export function renderKeys(keys: readonly CallerKey[], now: number): string {
  if (keys.length === 0) return 'No keys yet. Create one with `tollway keys add <id>`.\n'
  return renderTable(
    ['CALLER', 'KEY', 'MODELS', 'CREATED', 'EXPIRES', 'LIMITS'],
    keys.map((key) => [
      key.id,
      `${key.hint}...`,
      key.models.join(', '),
      day(key.created),
      key.expires === undefined ? 'never' : `${day(key.expires)}${key.expires <= now ? ' (expired)' : ''}`,
      limitsOf(key) || '-',
    ]),
  )
}

function limitsOf(key: CallerKey): string {
  return [
    key.requests_per_minute === undefined ? '' : `${key.requests_per_minute} requests/min`,
    key.tokens_per_minute === undefined ? '' : `${key.tokens_per_minute} tokens/min`,
    key.max_parallel_requests === undefined ? '' : `${key.max_parallel_requests} at once`,
    ...(key.budget_usd ?? []).map((budget) => `$${budget}`),
    key.team === undefined ? '' : `team ${key.team}`,
  ]
    .filter((text) => text !== '')
    .join(', ')
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}
