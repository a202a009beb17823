/** Sends messages to the webhook of `notify`, keeps those that are not delivered, and tells what became of each. */
import { z } from 'zod'
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import { formatInstant } from '../../core/budget/budget-messages.ts'
import type { NotificationKind, Observer } from '../../core/telemetry/events.ts'
import type { Timers } from '../../core/timers.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import type { Notice, NoticeStore } from '../../io/store/contracts/notices.ts'
import {
  Webhook,
  type WebhookMessage,
  type WebhookResult,
  type WebhookTarget,
} from '../../io/webhook/webhook.ts'

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

/** A message as the ledger keeps it. */
const KEPT_MESSAGE = z.object({
  kind: z.enum(['budget', 'approval']),
  type: z.string(),
  data: z.looseObject({}),
  /** As it is delivered. */
  body: z.string(),
})

type KeptMessage = Omit<z.infer<typeof KEPT_MESSAGE>, 'data'> & { readonly data: object }

/** What a {@link Notifier} works with. */
export interface NotifierContext {
  /** Of the configuration in force; `undefined` for no messages. */
  readonly target: () => WebhookTarget | undefined
  readonly ledger: Pick<Ledger, 'note' | 'instance'> & { readonly store: { readonly notices: NoticeStore } }
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

  /**
   * Keeps a message in the ledger and delivers it in the background: a process that is killed leaves it to the next one.
   * @param id equal for a message that says the same
   * @param isNew asked once it is kept; a message that is told already goes no further
   * @returns resolves when it is kept, never when it is delivered
   * @throws whatever `isNew` throws: nothing is delivered then
   */
  async send(
    kind: NotificationKind,
    id: string,
    content: NotificationContent,
    isNew: () => Promise<boolean> = async () => true,
  ): Promise<void> {
    if (!this.isOn) return
    const { type, at, text, data } = content
    const body = JSON.stringify({ type, timestamp: formatInstant(at), data, text })
    const message: KeptMessage = { kind, type, data, body }
    const { ledger, log } = this.#context
    const { notices } = ledger.store
    const notice = {
      id,
      kind: 'message',
      instance: ledger.instance,
      at,
      body: JSON.stringify(message),
    } as const
    const isKept = await notices.add(notice).catch((err: unknown) => {
      log.error(
        { err, message: id },
        'a message to the webhook of notify is not kept: a restart would lose it',
      )
      return true
    })
    // Another gateway delivers the same.
    if (!isKept) return
    try {
      if (!(await isNew())) return await this.#forget(id)
    } catch (error) {
      await this.#forget(id)
      throw error
    }
    this.#deliver({ id, body }, message)
  }

  /** Goes on with a message that a process left which ended. */
  async resume({ id, body, attempts }: Notice): Promise<void> {
    const message = KEPT_MESSAGE.parse(JSON.parse(body))
    // The call that waited ended with its gateway.
    if (message.type === 'approval.requested') return await this.#forget(id)
    if (this.isOn) return this.#deliver({ id, body: message.body, attempts }, message)
    await this.#report(id, message, { result: 'failed', attempts, why: 'notify was removed' })
  }

  #deliver(message: WebhookMessage, kept: KeptMessage): void {
    const { id } = message
    const { notices } = this.#context.ledger.store
    const attempting = async (): Promise<void> => {
      await notices.attempt(id).catch(() => undefined)
    }
    const ended = this.#webhook
      .send({ ...message, attempting })
      .then(async (result) => this.#report(id, kept, result))
    this.#running.add(ended)
    void ended.finally(() => this.#running.delete(ended))
  }

  /** Ends all attempts, and records what was not delivered: it stays in the ledger. */
  async close(): Promise<void> {
    this.#webhook.close()
    await Promise.allSettled(this.#running)
  }

  async #report(id: string, { kind, type, data }: KeptMessage, ended: WebhookResult): Promise<void> {
    const { observers, ledger, log } = this.#context
    const { result } = ended
    const facts = { message: id, about: type, ...ended }
    if (result === 'kept') {
      log.warn(
        facts,
        'a message to the webhook of notify was not delivered yet: the next start goes on with it',
      )
    } else {
      for (const observe of observers) observe({ type: 'notified', kind, result })
      if (result !== 'delivered') log.error(facts, 'a message to the webhook of notify was not delivered')
      await this.#forget(id)
    }
    await ledger.note(`notify.${result}`, { ...facts, ...data })
  }

  /** One that cannot be removed is delivered once more by the next process: its id tells the receiver. */
  async #forget(id: string): Promise<void> {
    await this.#context.ledger.store.notices.remove(id).catch(() => undefined)
  }
}
