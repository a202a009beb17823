/** Puts another configuration into force while the gateway runs: all of it, or nothing. */
import type { Logger } from 'pino'
import type { Clock } from '../../core/clock.ts'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { AuditSink } from '../../io/audit/audit-queue.ts'
import type { ConfigReading } from '../../io/metrics/metric-sources.ts'
import { differingKeys } from '../config/reading/fingerprint.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { assertReloadable, assertSameUnits, MOST_KEYS } from './restart-keys.ts'

/** What a reload did. */
export interface ReloadResult {
  /** The keys that differ, as in `budgets.all.limit_usd`; none when the configuration says the same as before. */
  readonly changed: readonly string[]
  /** SHA-256 of the configuration in force, without its secrets; lower-case hex. */
  readonly hash: string
  /** That of the one before. */
  readonly previousHash: string
}

/** What asked for a reload, for the audit record. */
export type ReloadCause = 'admin' | 'signal' | 'program'

/** Dependencies of {@link Reloader}. */
export interface ReloaderSetup {
  readonly config: ResolvedConfig
  /**
   * Opens everything that the configuration needs, without putting it into force.
   * @returns puts it into force; cannot fail
   * @throws ConfigError
   */
  readonly prepare: (config: ResolvedConfig) => () => void
  readonly audit: Pick<AuditSink, 'append'>
  readonly observers: readonly Observer[]
  readonly clock: Clock
  readonly log: Log & Pick<Logger, 'info'>
}

/** Reads the configuration again and puts it into force. */
export type ReloadFrom = () => Promise<ReloadResult>

/** One per gateway. Reloads run one after the other. */
export class Reloader {
  readonly #setup: ReloaderSetup
  #config: ResolvedConfig
  #isLastDone = true
  #doneAt: number
  #running: Promise<unknown> = Promise.resolve()

  constructor(setup: ReloaderSetup) {
    this.#setup = setup
    this.#config = setup.config
    this.#doneAt = setup.clock.now()
  }

  /** The configuration in force, for the metrics. */
  reading(): ConfigReading {
    return { hash: this.#config.fingerprint.hash, isLastDone: this.#isLastDone, doneAt: this.#doneAt }
  }

  /**
   * Reads a configuration and puts it into force. Requests that have begun finish under the old one; open charges keep their
   * budgets and windows.
   * @param read throws what is wrong with the configuration
   * @throws ConfigError for a configuration that is not valid; TollwayError `restart_required` where it differs in keys that need
   * one, `audit_unavailable` where the change cannot be recorded. In each case nothing has changed
   */
  async reload(read: () => ResolvedConfig, cause: ReloadCause): Promise<ReloadResult> {
    const next = this.#running.then(() => this.#reload(read, cause))
    this.#running = next.catch(() => undefined)
    return await next
  }

  async #reload(read: () => ResolvedConfig, cause: ReloadCause): Promise<ReloadResult> {
    const { log } = this.#setup
    try {
      const result = await this.#apply(read(), cause)
      this.#isLastDone = true
      this.#doneAt = this.#setup.clock.now()
      const { changed, hash } = result
      if (changed.length > 0) log.info({ changed, hash }, 'the configuration was reloaded')
      else log.info({ hash }, 'the configuration was read again and says the same as before')
      this.#tell(changed.length > 0 ? 'done' : 'unchanged')
      return result
    } catch (err) {
      this.#isLastDone = false
      log.error({ err }, 'the configuration was not reloaded; the one before stays in force')
      this.#tell('refused')
      await this.#recordRefusal(err, cause)
      throw err
    }
  }

  async #apply(next: ResolvedConfig, cause: ReloadCause): Promise<ReloadResult> {
    const before = this.#config
    const changed = differingKeys(before.fingerprint, next.fingerprint)
    const hashes = { hash: next.fingerprint.hash, previousHash: before.fingerprint.hash }
    if (changed.length === 0) return { changed, ...hashes }
    assertReloadable(changed)
    assertSameUnits(before.budgets, next.budgets)
    const putIntoForce = this.#setup.prepare(next)
    const record = {
      cause,
      config_hash: hashes.hash,
      previous_config_hash: hashes.previousHash,
      changed: changed.slice(0, MOST_KEYS),
      changed_keys: changed.length,
    }
    // Recorded first, so that the rules that a payment was checked against can be told from the file.
    await this.#setup.audit.append('config.reloaded', record, { durable: true })
    putIntoForce()
    this.#config = next
    return { changed, ...hashes }
  }

  /** The words of a refusal hold keys and advice, never a configured value. */
  async #recordRefusal(error: unknown, cause: ReloadCause): Promise<void> {
    const isExplained = error instanceof ConfigError || error instanceof TollwayError
    const reason = isExplained ? error.message.slice(0, 2_000) : 'internal error'
    await this.#setup.audit
      .append('config.refused', { cause, config_hash: this.#config.fingerprint.hash, reason })
      .catch((err: unknown) => this.#setup.log.error({ err }, 'a refused reload could not be recorded'))
  }

  #tell(result: 'done' | 'unchanged' | 'refused'): void {
    for (const observe of this.#setup.observers) observe({ type: 'config_reloaded', result })
  }
}
