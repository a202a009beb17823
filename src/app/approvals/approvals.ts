/**
 * Calls that wait for a person. With the gateway or its client the call ends too: the ledger keeps each, so that what became of it is
 * known after a crash.
 */
import type { Approval, CallToApprove } from '../../core/approval/approval.ts'
import { TollwayError } from '../../core/errors.ts'
import type { Clock } from '../../core/clock.ts'
import type { RandomBytes } from '../../core/ids.ts'
import type { Log } from '../../core/log.ts'
import { formatUsd } from '../../core/money/money.ts'
import type { ApprovalResult, Observer } from '../../core/telemetry/events.ts'
import type { Timers } from '../../core/timers.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import type { Notice, NoticeStore } from '../../io/store/contracts/notices.ts'
import type { Notifier } from '../notify/notifier.ts'
import { approvalJson, callOf, requestedMessage } from './approval-json.ts'
import type { WaitingCall } from './waiting-call.ts'

/** The most calls that wait at once; a further one is refused. */
const MAX_WAITING = 100

/** Lower-case letters and digits that are not taken for one another. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const ID_LENGTH = 8

/** What needs approval, and for how long a call waits. */
export interface ApprovalRules {
  /** Micro-USD: a call that may cost more needs it. */
  readonly aboveMicroUsd: bigint
  /** Milliseconds. */
  readonly waitMs: number
}

/** What {@link Approvals} works with. */
export interface ApprovalsContext {
  /** Those in force; `undefined` where nothing needs approval. */
  readonly rules: () => ApprovalRules | undefined
  /** Where a person can decide, for messages. */
  readonly page: () => string
  readonly clock: Clock
  readonly timers: Timers
  readonly random: RandomBytes
  readonly ledger: Pick<Ledger, 'note' | 'instance'> & { readonly store: { readonly notices: NoticeStore } }
  readonly notifier: Pick<Notifier, 'send'>
  readonly observers: readonly Observer[]
  readonly log: Log
}

/** The place of a call that waits. */
interface Place {
  readonly waiting: WaitingCall
  readonly end: (result: ApprovalResult) => void
  /** Resolves once the end is recorded. */
  readonly ended: Promise<ApprovalResult>
}

/** One per gateway. */
export class Approvals implements Approval {
  readonly takesTime = true
  readonly #context: ApprovalsContext
  readonly #waiting = new Map<string, Place>()
  #isClosing = false

  constructor(context: ApprovalsContext) {
    this.#context = context
  }

  isNeeded(microUsd: bigint | undefined): boolean {
    const rules = this.#context.rules()
    return rules !== undefined && (microUsd === undefined || microUsd > rules.aboveMicroUsd)
  }

  /** Those that wait, the oldest first. */
  list(): WaitingCall[] {
    return [...this.#waiting.values()].map(({ waiting }) => waiting)
  }

  async ask(call: CallToApprove, signal: AbortSignal): Promise<void> {
    const rules = this.#context.rules()
    if (!rules) return
    signal.throwIfAborted()
    if (this.#isClosing || this.#waiting.size >= MAX_WAITING) {
      const result = this.#isClosing ? 'closing' : 'full'
      this.#tell(result)
      throw refusal(call, rules, result)
    }
    const { clock, ledger } = this.#context
    const since = clock.now()
    const waiting = { id: this.#newId(), call, since, until: since + rules.waitMs }
    const place = this.#place(waiting, rules, signal)
    const json = approvalJson(waiting)
    const notice = { id: waiting.id, kind: 'approval', instance: ledger.instance, at: since } as const
    try {
      await ledger.store.notices.add({ ...notice, body: JSON.stringify(json) })
      await this.#announce(waiting)
    } catch (error) {
      // Rule 9: what cannot be recorded is not paid.
      place.end('refused')
      place.ended.catch(() => undefined)
      throw error
    }
    const result = await place.ended
    this.#tell(result)
    await ledger.note(`approval.${result}`, { ...json, ...paymentFacts(call) })
    if (result === 'left') throw signal.reason
    if (result !== 'approved') throw refusal(call, rules, result, waiting.id)
  }

  /**
   * Decides about a call.
   * @returns the call, once the decision is recorded
   * @throws TollwayError `not_found` where it waits no longer; `store_unavailable`
   */
  async decide(id: string, decision: 'approved' | 'refused'): Promise<WaitingCall> {
    const place = this.#waiting.get(id)
    if (!place) throw await this.#notWaiting(id)
    // Its timer may be late, on a busy machine.
    const isOver = this.#context.clock.now() >= place.waiting.until
    place.end(isOver ? 'timeout' : decision)
    if ((await place.ended) !== decision) throw await this.#notWaiting(id)
    return place.waiting
  }

  /** Those that ended last, the newest first. @throws TollwayError `store_unavailable` */
  async ended(limit: number): Promise<Notice[]> {
    return await this.#context.ledger.store.notices.list({ kind: 'approval', state: 'ended', limit })
  }

  /** Records what became of a call that waited in a process that was killed: it was refused, and nothing was signed. */
  async lost({ id, body }: Notice): Promise<void> {
    const { ledger, log, clock } = this.#context
    const call = callOf(body)
    log.warn(
      call,
      'a call waited for approval when its gateway was killed: it was refused, and nothing was signed',
    )
    // Recorded first: two records are better than none.
    await ledger.note('approval.lost', call)
    if (await ledger.store.notices.end(id, 'lost', clock.now())) this.#tell('lost')
  }

  /** Refuses all that wait, and those that come. */
  close(): void {
    this.#isClosing = true
    for (const { end } of this.#waiting.values()) end('closing')
  }

  /** Lets a call wait until somebody, the time or its client ends that. The first end counts. */
  #place(waiting: WaitingCall, rules: ApprovalRules, signal: AbortSignal): Place {
    const { id } = waiting
    const decided = Promise.withResolvers<ApprovalResult>()
    const leave = (): void => end('left')
    const cancel = this.#context.timers.after(rules.waitMs, () => end('timeout'))
    signal.addEventListener('abort', leave, { once: true })
    const end = (result: ApprovalResult): void => {
      // At once: a second decision must not be told that it was taken.
      this.#waiting.delete(id)
      signal.removeEventListener('abort', leave)
      cancel()
      decided.resolve(result)
    }
    const place = { waiting, end, ended: decided.promise.then((result) => this.#record(id, result)) }
    this.#waiting.set(id, place)
    return place
  }

  /** @returns how it ended: another process may have taken this one for dead meanwhile */
  async #record(id: string, result: ApprovalResult): Promise<ApprovalResult> {
    const { ledger, clock } = this.#context
    return (await ledger.store.notices.end(id, result, clock.now())) ? result : 'lost'
  }

  async #announce(waiting: WaitingCall): Promise<void> {
    const { log, notifier, ledger, page } = this.#context
    this.#tell('waiting')
    const json = approvalJson(waiting)
    log.warn(json, `a call waits for approval: tollway approve ${waiting.id}`)
    await ledger.note('approval.requested', { ...json, ...paymentFacts(waiting.call) })
    await notifier.send('approval', `msg_${waiting.id}`, requestedMessage(waiting, page()))
  }

  async #notWaiting(id: string): Promise<TollwayError> {
    const { ledger } = this.#context
    const notice = await ledger.store.notices.find(id)
    return new TollwayError({
      code: 'not_found',
      message: `No call waits for approval under ${id}: ${whereItIs(notice, ledger.instance)}. Nothing was changed.`,
      advice: ['`tollway approvals` lists those that wait, and how the last ones ended.'],
    })
  }

  #tell(result: ApprovalResult | 'waiting'): void {
    for (const observe of this.#context.observers) observe({ type: 'approval', result })
  }

  #newId(): string {
    const characters = Array.from(this.#context.random(ID_LENGTH), (byte) => ALPHABET[byte % ALPHABET.length])
    return `apr_${characters.join('')}`
  }
}

/** What the audit record tells of the payment. */
function paymentFacts({ payment }: CallToApprove): Record<string, string> {
  if (!payment) return {}
  const { amount, symbol, network, payTo } = payment
  return { amount: amount.toString(), symbol, network, pay_to: payTo }
}

const WHY: Readonly<Record<Exclude<ApprovalResult, 'approved' | 'left'>, string>> = {
  refused: 'a person refused it',
  timeout: 'no person approved it in time',
  full: `${MAX_WAITING} calls wait already`,
  closing: 'the gateway is stopping',
  lost: 'another process took this gateway for dead',
}

const ENDED: Readonly<Record<string, string>> = {
  approved: 'it was approved',
  refused: 'it was refused',
  timeout: 'its time is over',
  left: 'its client left',
  closing: 'its gateway was stopped, which refused it',
  lost: 'its gateway was killed, which refused it; nothing was signed',
}

function whereItIs(notice: Notice | undefined, instance: string): string {
  if (notice?.kind !== 'approval') return 'there is none of that name'
  const { result, endedAt } = notice
  if (result !== undefined) return `${ENDED[result] ?? result} at ${new Date(endedAt ?? 0).toISOString()}`
  return notice.instance === instance
    ? 'it is ending'
    : `it waits at another gateway on this ledger (${notice.instance}), which has to be asked (--url)`
}

function refusal(
  { microUsd }: CallToApprove,
  { aboveMicroUsd, waitMs }: ApprovalRules,
  result: keyof typeof WHY,
  id?: string,
): TollwayError {
  const price = microUsd === undefined ? 'in a token without a USD value' : `of up to $${formatUsd(microUsd)}`
  return new TollwayError({
    code: 'approval_refused',
    message: `A call ${price} needs a person's approval, and ${WHY[result]}. No payment was sent.`,
    advice: [
      `Calls above $${formatUsd(aboveMicroUsd)} (policy.approve_above_usd) wait ${waitMs / 1000} seconds for tollway approve; whoever runs this gateway can approve the next one.`,
    ],
    details: { approval: id ?? null, approval_result: result },
  })
}
