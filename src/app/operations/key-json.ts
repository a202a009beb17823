import type { CallerKey } from '../../io/callers/caller-keys.ts'

/** One key, as `--json` and `/admin/keys` show it: never the key or its digest. */
export function keyJson(key: CallerKey) {
  return {
    id: key.id,
    hint: key.hint,
    models: key.models,
    created: new Date(key.created).toISOString(),
    expires: key.expires === undefined ? null : new Date(key.expires).toISOString(),
    requests_per_minute: key.requests_per_minute ?? null,
    tokens_per_minute: key.tokens_per_minute ?? null,
    max_parallel_requests: key.max_parallel_requests ?? null,
    team: key.team ?? null,
    budget_usd: key.budget_usd ?? [],
  }
}
