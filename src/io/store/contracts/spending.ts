/** Reports of spending: sums of charges and the tokens of the answers that they paid for. */
import { TAG_NAME } from '../../../core/budget/tag-name.ts'
import type { ChargeState } from '../../../core/charge/charge.ts'
import type { Usage } from '../../../core/stream/usage.ts'
import type { ChargeFilter } from './charges.ts'

/** What spending can be grouped by. `model`: the one that the seller was asked for. `tag.agent`: the values of tags `agent:…`. */
export type SpendGroup = (typeof SPEND_GROUPS)[number] | `tag.${string}`

/** Every group but those of tags, for parsers. */
export const SPEND_GROUPS = ['route', 'model', 'payer', 'seller', 'caller'] as const

/** The name of the tag that spending is grouped by; `undefined` for the other groups. */
export function tagOfGroup(group: string): string | undefined {
  const name = group.startsWith('tag.') ? group.slice('tag.'.length) : ''
  return TAG_NAME.test(name) ? name : undefined
}

/** The group name when spending is not grouped. */
export const ALL_TOGETHER = '*'

/** Which charges are added up, and how they are grouped. */
export interface SpendQuery extends ChargeFilter {
  /** When left out, all charges of a state are added up together. */
  readonly by?: SpendGroup | undefined
}

/** The charges of one group in one state. */
export interface SpendRow {
  /** The route, model, payer, seller, caller or value of the tag; `*` for all together. */
  readonly group: string
  readonly state: ChargeState
  readonly charges: number
  /** How many of them have no USD value. */
  readonly unpriced: number
  /** Micro-USD of the others. An `upto` payment counts what the chain proved, once it did. */
  readonly microUsd: bigint
  /** Tokens that answers told, input and output together; left out where none did. */
  readonly tokens?: bigint | undefined
}

/** Which charges {@link SpendingStore.consumption} adds up. */
export interface ConsumptionQuery {
  /** When left out, charges of all callers. */
  readonly caller?: string | undefined
  /** Reserved at or after this instant, milliseconds since the epoch. */
  readonly since: number
}

/** What was bought: charges that were not released, and the tokens of the answers they paid for. */
export interface Consumption extends Usage {
  readonly charges: number
  /** Micro-USD. An `upto` payment counts what the chain proved, once it did; charges without a USD value count as 0. */
  readonly microUsd: bigint
}

/** What was settled for one route, model, payer, seller and caller. */
export interface SpentBy {
  readonly route: string
  /** The model that the seller was asked for; as the client named it in charges of older versions. */
  readonly model: string
  readonly payer: string
  readonly seller: string
  readonly caller: string
  readonly charges: number
  /**
   * Micro-USD. An `upto` payment counts what the chain proved, once it did; charges without a USD value count as 0. For
   * display: a sum over 2^63 may be refused.
   */
  readonly microUsd: bigint
}

/** Number and value of charges. */
export interface ChargeSum {
  readonly count: number
  /** Micro-USD as the budgets count them; charges without a USD value count as 0. */
  readonly microUsd: bigint
}

/** The spending of a store. Every method is one transaction. */
export interface SpendingStore {
  /** Adds charges up by state, and by a group where one is named; ordered by group and state, empty sums left out. */
  spend(query: SpendQuery): Promise<SpendRow[]>
  /** Adds up all charges in a state. */
  sum(state: ChargeState): Promise<ChargeSum>
  /**
   * What was settled of the charges reserved at or after `since` and before `until` (milliseconds since the epoch; without
   * `until` all later ones), ordered by route, model, payer, seller and caller.
   */
  spentBy(since: number, until?: number): Promise<readonly SpentBy[]>
  /** Records the tokens of the answer that a charge paid for. The first call counts; an unknown charge is ignored. */
  noteUsage(charge: string, usage: Usage): Promise<void>
  /** The recorded tokens of these charges, by charge; charges without a record are left out. */
  usages(charges: readonly string[]): Promise<ReadonlyMap<string, Usage>>
  /** Adds up what was bought. */
  consumption(query: ConsumptionQuery): Promise<Consumption>
}
