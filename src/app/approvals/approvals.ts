/** Calls that wait for a person: kept in memory, because with the gateway or its client the call ends too. */
import type { Approval, CallToApprove } from '../../core/approval/approval.ts'
import { TollwayError } from '../../core/errors.ts'
import type { Clock } from '../../core/clock.ts'
import type { RandomBytes } from '../../core/ids.ts'
import type { Log } from '../../core/log.ts'
import { formatUsd } from '../../core/money/money.ts'
import type { ApprovalResult, Observer } from '../../core/telemetry/events.ts'
import type { Timers } from '../../core/timers.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import type { Notifier } from '../notify/notifier.ts'
import { approvalJson, requestedMessage } from './approval-json.ts'
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
  readonly ledger: Pick<Ledger, 'note'>
  readonly notifier: Pick<Notifier, 'send'>
  readonly observers: readonly Observer[]
  readonly log: Log
}

/** One per gateway. */
export class Approvals implements Approval {
  readonly #context: ApprovalsContext
  readonly #waiting = new Map<
    string,
    { readonly waiting: WaitingCall; readonly end: (result: ApprovalResult) => void }
  >()
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
    const since = this.#context.clock.now()
    const waiting = { id: this.#newId(), call, since, until: since + rules.waitMs }
    const result = await this.#wait(waiting, rules, signal)
    this.#tell(result)
    await this.#context.ledger.note(`approval.${result}`, { ...approvalJson(waiting), ...paymentFacts(call) })
    if (result === 'left') throw signal.reason
    if (result !== 'approved') throw refusal(call, rules, result, waiting.id)
  }

  /**
   * Decides about a call.
   * @returns the call
   * @throws TollwayError `not_found` where it waits no longer
   */
  decide(id: string, decision: 'approved' | 'refused'): WaitingCall {
    const found = this.#waiting.get(id)
    if (!found) {
      throw new TollwayError({
        code: 'not_found',
        message: `No call waits for approval under ${id}: it was decided, its time is over, or its client left. Nothing was changed.`,
        advice: ['`tollway approvals` lists those that wait.'],
      })
    }
    found.end(decision)
    return found.waiting
  }

  /** Refuses all that wait, and those that come. */
  close(): void {
    this.#isClosing = true
    for (const { end } of this.#waiting.values()) end('closing')
  }

  async #wait(waiting: WaitingCall, rules: ApprovalRules, signal: AbortSignal): Promise<ApprovalResult> {
    const { timers, log, notifier, ledger, page } = this.#context
    const decided = Promise.withResolvers<ApprovalResult>()
    const leave = (): void => decided.resolve('left')
    const cancel = timers.after(rules.waitMs, () => decided.resolve('timeout'))
    signal.addEventListener('abort', leave, { once: true })
    this.#waiting.set(waiting.id, { waiting, end: decided.resolve })
    try {
      this.#tell('waiting')
      const json = approvalJson(waiting)
      log.warn(json, `a call waits for approval: tollway approve ${waiting.id}`)
      await ledger.note('approval.requested', { ...json, ...paymentFacts(waiting.call) })
      notifier.send('approval', `msg_${waiting.id}`, requestedMessage(waiting, page()))
      return await decided.promise
    } finally {
      this.#waiting.delete(waiting.id)
      signal.removeEventListener('abort', leave)
      cancel()
    }
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
