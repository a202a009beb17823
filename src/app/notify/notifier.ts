/** Sends messages to the webhook of `notify`, and tells what became of each. */
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import { formatInstant } from '../../core/budget/budget-messages.ts'
import type { NotificationKind, Observer } from '../../core/telemetry/events.ts'
import type { Timers } from '../../core/timers.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import { Webhook, type WebhookResult, type WebhookTarget } from '../../io/webhook/webhook.ts'

/** What a message says. */
export interface NotificationContent {
  /** Such as `budget.level`. */
  readonly type: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** One sentence for people: what chat services show. */
  readonly text: string
  readonly data: object
}

/** What a {@link Notifier} works with. */
export interface NotifierContext {
  /** Of the configuration in force; `undefined` for no messages. */
  readonly target: () => WebhookTarget | undefined
  readonly ledger: Pick<Ledger, 'note'>
  readonly observers: readonly Observer[]
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Log
}

/** The messages of one gateway. None of them slows a call or makes it fail. */
export class Notifier {
  readonly #context: NotifierContext
  readonly #webhook: Webhook
  readonly #running = new Set<Promise<void>>()

  constructor(context: NotifierContext) {
    this.#context = context
    this.#webhook = new Webhook(context)
  }

  /** Whether there is a webhook. */
  get isOn(): boolean {
    return this.#context.target() !== undefined
  }

  /** Sends a message in the background. @param id equal for a message that says the same */
  send(kind: NotificationKind, id: string, content: NotificationContent): void {
    if (!this.isOn) return
    const { type, at, text, data } = content
    const body = JSON.stringify({ type, timestamp: formatInstant(at), data, text })
    const ended = this.#webhook
      .send({ id, body })
      .then(async (result) => this.#report(kind, id, content, result))
    this.#running.add(ended)
    void ended.finally(() => this.#running.delete(ended))
  }

  /** Ends all attempts, and records what was not delivered. */
  async close(): Promise<void> {
    this.#webhook.close()
    await Promise.allSettled(this.#running)
  }

  async #report(
    kind: NotificationKind,
    id: string,
    { type, data }: NotificationContent,
    ended: WebhookResult,
  ): Promise<void> {
    const { observers, ledger, log } = this.#context
    const { result } = ended
    for (const observe of observers) observe({ type: 'notified', kind, result })
    const facts = { message: id, about: type, ...ended }
    if (result !== 'delivered') log.error(facts, 'a message to the webhook of notify was not delivered')
    await ledger.note(`notify.${result}`, { ...facts, ...data })
  }
}
