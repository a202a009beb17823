/// <reference lib="dom" />
/** The table of charges: pages from the ledger, and live changes. */
import { load, type ChargeView, type RefusalView } from './data.ts'
import { find, make, say, type Content } from './dom.ts'
import { count, host, longTime, shorten, shortTime, usd } from './format.ts'

const PAGE = 50

/** Maximum number of rows; the oldest ones are removed. */
const MAX_ROWS = 1000
/** Changes within this time are rendered together, milliseconds; longer if rendering takes long. */
const TOGETHER_MS = 100

/** The table. It keeps its rows by charge, so that a change moves no other row. */
export class ChargeTable {
  readonly #body = find('charge-rows', HTMLElement)
  readonly #more = find('more', HTMLButtonElement)
  readonly #rows = new Map<string, { readonly charge: ChargeView; readonly node: HTMLElement }>()
  /** Requests without a charge, or without an answer: rows of their own between the charges. */
  #refusals: readonly Row[] = []
  #query = new URLSearchParams()
  #next: string | null = null
  #filtered = false
  /** Rows were removed because there were too many: older pages would not follow the last row. */
  #cut = false
  /** Changes since the last rendering, by charge: only the latest state is shown. */
  readonly #changes = new Map<string, ChargeView>()
  #laying: ReturnType<typeof setTimeout> | undefined
  #pause = TOGETHER_MS

  constructor(onProblem: (error: unknown) => void) {
    this.#more.addEventListener('click', () => {
      this.#loadMore().catch(onProblem)
    })
    // The link is for the keyboard; a mouse may hit anything of the row but what is a link itself.
    this.#body.addEventListener('click', ({ target }) => {
      if (!(target instanceof Element) || target.closest('a') !== null) return
      if (String(getSelection()) !== '') return
      target.closest('tr')?.querySelector<HTMLAnchorElement>('a.record-link')?.click()
    })
  }

  /** Shows those of the newest refusals and failures that belong to the view. */
  refused(refusals: readonly RefusalView[]): void {
    this.#refusals = refusals
      .filter((refusal) =>
        this.#isShown({ ...refusal, seller: this.#query.get('seller') ?? '' }, refusal.seller),
      )
      .map((refusal) => ({ time: refusal.time, id: refusal.id, node: refusalRow(refusal) }))
    this.#lay()
  }

  /** Shows the newest charges of a filter. Rows already there stay where they are. */
  async show(query: URLSearchParams, filtered: boolean): Promise<void> {
    const { charges, next } = await load('/api/charges', extended(query, { limit: String(PAGE) }))
    const same =
      query.toString().replace(/from=[^&]*/, '') === this.#query.toString().replace(/from=[^&]*/, '')
    this.#query = query
    this.#filtered = filtered
    // Older pages stay open when the same view is reloaded; rows that remain keep their position and focus.
    if (!same || this.#rows.size <= PAGE) {
      this.#next = next
      this.#cut = false
      const listed = new Set(charges.map(({ charge }) => charge))
      for (const id of this.#rows.keys()) if (!listed.has(id)) this.#rows.delete(id)
    }
    for (const charge of charges) this.#put(charge, false)
    this.#lay()
  }

  /** Applies a change: the row is new, changed, or no longer part of this view. */
  change(charge: ChargeView): void {
    this.#changes.delete(charge.charge)
    this.#changes.set(charge.charge, charge)
    const [oldest] = this.#changes.keys()
    if (this.#changes.size > MAX_ROWS && oldest !== undefined) this.#changes.delete(oldest)
    if (this.#laying !== undefined) return
    this.#laying = setTimeout(() => {
      this.#laying = undefined
      const begun = performance.now()
      this.#takeIn()
      this.#pause = Math.max(TOGETHER_MS, 4 * (performance.now() - begun))
    }, this.#pause)
  }

  #takeIn(): void {
    for (const charge of this.#changes.values()) {
      if (this.#isShown(charge)) this.#put(charge, true)
      else this.#rows.delete(charge.charge)
    }
    this.#changes.clear()
    this.#lay()
  }

  async #loadMore(): Promise<void> {
    if (this.#next === null) return
    const query = extended(this.#query, { limit: String(PAGE), before: this.#next })
    const { charges, next } = await load('/api/charges', query)
    this.#next = next
    for (const charge of charges) this.#put(charge, false)
    this.#lay()
    const [first] = charges
    // Keyboard focus moves to the first new row, because the button may be gone.
    if (first) this.#rows.get(first.charge)?.node.querySelector('a')?.focus()
  }

  /** @param host of a refusal's seller: it has no origin */
  #isShown(charge: Filtered, sellerHost?: string): boolean {
    const seller = this.#query.get('seller')
    if (sellerHost !== undefined && seller !== null && host(seller) !== sellerHost) return false
    const [from, to] = [this.#query.get('from'), this.#query.get('to')]
    return (
      (from === null || charge.time >= from) &&
      (to === null || charge.time < to) &&
      (['state', 'route', 'payer', 'seller', 'caller'] as const).every((name) => {
        const wanted = this.#query.get(name)
        return wanted === null || wanted.split(name === 'state' ? ',' : '\n').includes(charge[name])
      })
    )
  }

  #put(charge: ChargeView, live: boolean): void {
    const known = this.#rows.get(charge.charge)
    // A list may be older than an event that arrived since the list was requested.
    if (known && known.charge.updated > charge.updated) return
    if (known?.charge.updated === charge.updated && known.charge.state === charge.state) return
    const node = rowOf(charge)
    if (live) node.classList.add('changed')
    if (known?.node.contains(document.activeElement)) {
      // The focus stays in the row.
      known.node.replaceWith(node)
      focusLast(node)
    }
    this.#rows.set(charge.charge, { charge, node })
  }

  #lay(): void {
    const charges = [...this.#rows.values()].map(({ charge, node }): Row => {
      return { time: charge.time, id: charge.charge, node }
    })
    // Before the oldest charge of a list that goes on, others may be missing.
    const oldest =
      this.#next === null ? '' : charges.reduce((old, { time }) => (time < old ? time : old), '9999')
    const sorted = [...charges, ...this.#refusals.filter(({ time }) => time >= oldest)].toSorted(
      (a, b) => compare(b.time, a.time) || compare(b.id, a.id),
    )
    const rows = sorted.slice(0, MAX_ROWS)
    for (const { id } of sorted.slice(MAX_ROWS)) {
      if (this.#rows.delete(id)) this.#cut = true
    }
    let place = this.#body.firstElementChild
    for (const { node } of rows) {
      if (place === node) place = place.nextElementSibling
      else this.#body.insertBefore(node, place)
    }
    while (place) {
      const next: Element | null = place.nextElementSibling
      place.remove()
      place = next
    }
    this.#more.hidden = this.#cut || this.#next === null
    say('charges-count', `${count(rows.length)}${this.#cut || this.#next !== null ? '+' : ''} shown`)
    const empty = find('charges-empty', HTMLElement)
    empty.hidden = rows.length > 0
    empty.textContent = this.#filtered
      ? 'Nothing matches these filters.'
      : 'Nothing was paid in this range yet. A paid call shows up here the moment it begins.'
  }
}

/** One row of the table. */
interface Row {
  /** RFC 3339. */
  readonly time: string
  readonly id: string
  readonly node: HTMLElement
}

/** What filters are compared with. */
interface Filtered {
  readonly time: string
  readonly state: string
  readonly route: string
  readonly payer: string
  readonly seller: string
  readonly caller: string
}

function refusalRow(refusal: RefusalView): HTMLElement {
  const { id, time, state, code, model, caller, seller, usd: wanted } = refusal
  return make(
    'tr',
    { class: 'refused-row' },
    make('td', {}, make('time', { datetime: time, title: longTime(time) }, shortTime(time))),
    make('td', {}, refusalState(state, code)),
    make('td', { class: 'clip', title: model }, model),
    make('td', { class: 'wide clip', title: caller }, caller),
    make('td', { class: 'wide clip', title: seller }, seller),
    make('td', { class: 'number soft' }, wanted === null ? '-' : `${usd(wanted)} wanted`),
    make('td', { class: 'wide hash' }, make('span', { class: 'none' }, 'none')),
    make(
      'td',
      { class: 'number' },
      make(
        'a',
        { href: `#${id}`, class: 'record-link', 'aria-label': `Why: ${code}, ${longTime(time)}` },
        'Why',
      ),
    ),
  )
}

/** The label of a request that got no answer of a model. */
export function refusalState(state: RefusalView['state'], code: string): HTMLElement {
  return make(
    'span',
    { class: 'state', 'data-state': state },
    make('span', { class: 'state-name' }, state),
    make('span', { class: 'soft' }, code.replaceAll('_', ' ')),
  )
}

/** The label of a state: text, colour and shape, each sufficient on its own. */
export function stateNode({ state, proof, reason }: ChargeView): HTMLElement {
  const detail = proof ?? (state === 'uncertain' || state === 'released' ? reason : null)
  return make(
    'span',
    { class: 'state', 'data-state': state },
    make('span', { class: 'state-name' }, state),
    detail === null ? undefined : make('span', { class: 'soft' }, detail.replaceAll('_', ' ')),
  )
}

/** The cost of a charge, in USD if it has a USD value. */
export function amountText({ usd: value, amount, charged, asset }: ChargeView): string {
  return value === null ? `${charged ?? amount} ${asset}` : usd(value)
}

/** What a missing transaction means, by state of the charge. */
const NO_TRANSACTION: Readonly<Record<ChargeView['state'], string>> = {
  held: 'none yet',
  authorized: 'none yet',
  settled: 'not reported',
  uncertain: 'not known',
  released: 'none',
}

/** A transaction's hash, with a link to the explorer that shows it. */
export function transactionNode(charge: ChargeView, whole = false): Content {
  const { transaction, transaction_url: url } = charge
  if (transaction === null) return make('span', { class: 'none' }, NO_TRANSACTION[charge.state])
  const text = whole ? transaction : shorten(transaction)
  if (url === undefined) return make('span', { title: transaction }, text)
  return make(
    'a',
    { href: url, title: transaction, target: '_blank', rel: 'noopener noreferrer' },
    text,
    make('span', { class: 'hidden' }, ' (opens the block explorer)'),
  )
}

function rowOf(charge: ChargeView): HTMLElement {
  return make(
    'tr',
    {},
    make(
      'td',
      {},
      make('time', { datetime: charge.time, title: longTime(charge.time) }, shortTime(charge.time)),
    ),
    make('td', {}, stateNode(charge)),
    make('td', { class: 'clip', title: charge.model }, charge.model),
    make('td', { class: 'wide clip', title: charge.caller }, charge.caller),
    make(
      'td',
      { class: 'wide clip', title: `${charge.seller}, paid by ${charge.payer}` },
      host(charge.seller),
    ),
    make('td', { class: 'number', 'data-state': charge.state }, amountText(charge)),
    make('td', { class: 'wide hash' }, transactionNode(charge)),
    make(
      'td',
      { class: 'number' },
      make(
        'a',
        { href: `#${charge.charge}`, class: 'record-link', 'aria-label': `Record of ${charge.charge}` },
        'Record',
      ),
    ),
  )
}

function focusLast(node: HTMLElement): void {
  const links = node.querySelectorAll('a')
  links[links.length - 1]?.focus()
}

function extended(query: URLSearchParams, more: Readonly<Record<string, string>>): URLSearchParams {
  return new URLSearchParams([...query, ...Object.entries(more)])
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
