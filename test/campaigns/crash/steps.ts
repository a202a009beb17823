/** The steps of a paid call, of a start and of a look at the chain at which a gateway can be told to die. */

/**
 * Every step. `before` and `after` are about what is named: `reserve:before` dies with nothing on the disk, `reserve:after` with
 * the charge committed and nobody told. `written` means handed to the system and not yet synced.
 */
export const STEPS = [
  'reserve:before',
  'reserve:after',
  'audit.held:before',
  'audit.held:after',
  'sign:before',
  'sign:after',
  'record:before',
  'record:after',
  'audit.authorized:before',
  'audit.authorized:written',
  'audit.authorized:after',
  'send:before',
  'send:bytes-left',
  'send:headers',
  'settle:before',
  'settle:after',
  'audit.settled:before',
  'audit.settled:after',
  'uncertain:before',
  'uncertain:after',
  'relay:first-bytes',
  'relay:end',
  'commit:before',
  'commit:after',
  'audit:half-a-line',
  'retire:before',
  'retire:after',
  'reconcile.settle:before',
  'reconcile.settle:after',
  'reconcile.release:before',
  'reconcile.release:after',
] as const

/** One of {@link STEPS}. */
export type Step = (typeof STEPS)[number]

/** Whether a text names a step. */
export function isStep(text: string): text is Step {
  return (STEPS as readonly string[]).includes(text)
}

/**
 * Steps at which the charge that dies is recorded as authorized, and no answer has come: between record and receipt.
 * At `send:headers` and `settle:before` the answer is there and not booked, so they do not count.
 */
export const RECORD_TO_RECEIPT: ReadonlySet<Step> = new Set<Step>([
  'record:after',
  'audit.authorized:before',
  'audit.authorized:written',
  'audit.authorized:after',
  'send:before',
  'send:bytes-left',
])

/** Steps at which the answer of an authorized charge has come and is not booked. */
export const ANSWER_UNBOOKED: ReadonlySet<Step> = new Set<Step>([
  'send:headers',
  'settle:before',
  'uncertain:before',
])

/** Steps that come often in the life of a gateway: dying at a later one of them varies what else goes on. */
export const FREQUENT: ReadonlySet<Step> = new Set<Step>([
  'commit:before',
  'commit:after',
  'audit:half-a-line',
])

/** Steps that come seldom: the first time is taken. */
export const RARE: ReadonlySet<Step> = new Set<Step>([
  'uncertain:before',
  'uncertain:after',
  'retire:before',
  'retire:after',
  'reconcile.settle:before',
  'reconcile.settle:after',
  'reconcile.release:before',
  'reconcile.release:after',
])

/** What a gateway says on its standard output as its last words. */
export const LAST_WORDS = 'dies at '
