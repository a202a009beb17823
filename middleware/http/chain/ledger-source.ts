/** Where a middleware's ledger comes from: its own options, the middlewares in front of it, or a new one. */
import { z } from 'zod'
import type { Clock } from '../../../src/core/clock.ts'
import { ConfigError } from '../../../src/core/errors.ts'
import { property } from '../../../src/core/property.ts'
import type { Exchange } from '../../../src/core/request/exchange.ts'
import type { Observer } from '../../../src/core/telemetry/events.ts'
import type { Ledger } from '../../../src/io/ledger/ledger.ts'
import { openLedger, type OpenedLedger } from '../../../src/io/ledger/open-ledger.ts'
import { assertStoreName } from '../../../src/io/ledger/open-store.ts'
import type { Store } from '../../../src/io/store/store.ts'
import { objectWith } from '../options.ts'
import { markWatched } from './request-hooks.ts'
import { setupError } from '../setup-error.ts'
import { sharedContext, type SharedLedger } from './shared-context.ts'

/** The options that say which ledger a middleware uses; without any, that of the middlewares before it. */
export interface LedgerOptions {
  /** A ledger of `openLedger()` or `openParts()`. */
  readonly ledger?: Ledger | undefined
  /**
   * Where charges are kept: `sqlite:<path>`, or `memory`, which forgets them when the process ends; or a store of your
   * own. Opened with the first request; later middlewares use the same one.
   */
  readonly store?: string | Store | undefined
}

/** Checks the option `store`. */
export const storeOption = z.custom<string | Store>(
  (value) => typeof value === 'string' || typeof property(value, 'reserve') === 'function',
  'give a store: `sqlite:./tollway.db`, `memory`, or an object of your own',
)

/** Checks the option `ledger`. */
export const ledgerOption = objectWith<Ledger>(
  ['reserve', 'refuseEarly', 'refuseWhileFailing', 'authorize', 'settle', 'uncertain', 'release', 'repeats'],
  'give the ledger that openLedger() or openParts() opens',
)

const DEFAULT_STORE = 'memory'

/** The ledger of one middleware. */
export class LedgerSource {
  readonly #name: string
  readonly #options: LedgerOptions & { readonly clock: Clock; readonly observers?: readonly Observer[] }
  #opening: Promise<OpenedLedger> | undefined
  /** Of the audit file that the ledger writes to. */
  #letGo: (() => Promise<void>) | undefined

  /** @throws ConfigError for a store that does not exist, or a ledger and a store */
  constructor(
    name: string,
    options: LedgerOptions & { readonly clock: Clock; readonly observers?: readonly Observer[] },
  ) {
    if (options.ledger && options.store !== undefined) {
      throw new ConfigError(`${name}(): give a ledger or a store, not both: a ledger has its store.`)
    }
    if (typeof options.store === 'string') assertStoreName(options.store)
    this.#name = name
    this.#options = options
  }

  /**
   * The ledger to use for a request. The middlewares behind find it in the request.
   * @throws TollwayError `setup_error` when another middleware keeps the charges elsewhere; `store_unavailable`,
   * `audit_unavailable` when it cannot be opened
   */
  async of(exchange: Exchange): Promise<SharedLedger> {
    const shared = sharedContext(exchange)
    const { ledger, store } = this.#options
    const found = shared.ledger
    if (found) {
      const differs = ledger ? found.ledger !== ledger : store !== undefined && found.store !== store
      if (differs) throw this.#twoLedgers(found)
      return found
    }
    shared.ledger = ledger
      ? { ledger, store: undefined, isDefault: false, from: this.#name }
      : await this.#open(exchange)
    return shared.ledger
  }

  /** Closes the ledger that this middleware opened, if it did. */
  async close(): Promise<void> {
    const opening = this.#opening
    this.#opening = undefined
    await (await opening?.catch(() => undefined))?.close()
    await this.#letGo?.()
  }

  async #open(exchange: Exchange): Promise<SharedLedger> {
    const { store, clock, observers = [] } = this.#options
    const { audit, observers: shared, hooks } = sharedContext(exchange)
    const told = hooks.filter(({ isFed }) => !isFed)
    this.#letGo ??= audit?.hold()
    this.#opening ??= openLedger({
      store: store ?? DEFAULT_STORE,
      audit,
      clock,
      observers: [...new Set([...observers, ...shared, ...told.map(({ charges }) => charges)])],
    }).then((opened) => {
      markWatched(opened.ledger, told)
      return opened
    })
    try {
      const { ledger } = await this.#opening
      return { ledger, store, isDefault: store === undefined, from: this.#name }
    } catch (error) {
      // The next request tries again.
      this.#opening = undefined
      throw error
    }
  }

  #twoLedgers(found: SharedLedger): Error {
    const place = found.isDefault ? 'in memory' : 'in another store'
    return setupError(
      `${found.from}() keeps charges ${place} and ${this.#name}() does not: a repeated request could be paid twice. Nothing was paid.`,
      `Give both the same store, or give the store to ${found.from}() alone: the middlewares behind it use the same one.`,
    )
  }
}
