/** The default upstream's own list of models (`GET <api_base>/models`), in OpenAI's shape. */

/** A model as the upstream lists it: every field as it came. */
export type UpstreamEntry = Readonly<Record<string, unknown>> & { readonly id: string }

/** The most models kept of it. */
export const MAX_UPSTREAM_MODELS = 10_000

/** What the default upstream lists. */
export interface UpstreamModels {
  /** Updates what {@link UpstreamModels.entries} holds; never rejects. */
  load(): Promise<void>
  /** The models by id; empty while they are unknown. */
  readonly entries: ReadonlyMap<string, UpstreamEntry>
}

/**
 * Reads `{data: [...]}`. An empty list is one too: an upstream may serve nothing yet. Rows without an id of 1 to 200
 * characters, none of them a control character, are left out.
 * @returns at most {@link MAX_UPSTREAM_MODELS}, each id once; `undefined` when the JSON is not such a list
 */
export function readUpstreamList(json: unknown): ReadonlyMap<string, UpstreamEntry> | undefined {
  if (typeof json !== 'object' || json === null || !('data' in json) || !Array.isArray(json.data)) {
    return undefined
  }
  const entries = new Map<string, UpstreamEntry>()
  for (const row of json.data as readonly unknown[]) {
    if (entries.size >= MAX_UPSTREAM_MODELS) break
    if (isEntry(row) && !entries.has(row.id)) entries.set(row.id, row)
  }
  return entries
}

function isEntry(row: unknown): row is UpstreamEntry {
  if (typeof row !== 'object' || row === null || !('id' in row)) return false
  return typeof row.id === 'string' && /^\P{C}{1,200}$/u.test(row.id)
}
