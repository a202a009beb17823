/// <reference lib="dom" />
/** One charge in full, with its records in the audit file; the address names it after a #. */
import { amountText, refusalState, stateNode, transactionNode } from './charges.ts'
import { load, type ChargeView, type RefusalView, type Trail } from './data.ts'
import { find, make, type Content } from './dom.ts'
import { longTime, usd } from './format.ts'

const CHARGE = /^#((?:chg|ref)_[\w-]{1,60})$/

/** Fields that are shown elsewhere, or that only chain the record. */
const ELSEWHERE: ReadonlySet<string> = new Set(['seq', 'ts', 'type', 'prev', 'hash', 'charge'])

/** The dialog: opens when the address names a charge, and closes with the back button. */
export class RecordView {
  readonly #dialog = find('record', HTMLDialogElement)
  readonly #body = find('record-body', HTMLElement)
  #refusals: readonly RefusalView[] = []
  /** Charge whose link opened the dialog: the link gets the focus back. */
  #opener: string | undefined

  constructor() {
    addEventListener('hashchange', () => void this.follow())
    find('record-close', HTMLButtonElement).addEventListener('click', () => this.#dialog.close())
    this.#dialog.addEventListener('click', (event) => {
      if (event.target === this.#dialog) this.#dialog.close()
    })
    this.#dialog.addEventListener('close', () => {
      if (CHARGE.test(location.hash)) history.pushState(null, '', location.pathname + location.search)
      if (this.#opener !== undefined) {
        document.querySelector<HTMLElement>(`a[href="#${CSS.escape(this.#opener)}"]`)?.focus()
      }
    })
  }

  /** Takes the refusals that can be opened. */
  know(refusals: readonly RefusalView[]): void {
    this.#refusals = refusals
  }

  /** Shows the charge in the address, or closes the dialog. */
  async follow(): Promise<void> {
    const id = CHARGE.exec(location.hash)?.[1]
    if (id === undefined) {
      this.#dialog.close()
      return
    }
    this.#opener = id
    find('record-title', HTMLElement).textContent = id
    if (id.startsWith('ref_')) {
      find('record-title', HTMLElement).textContent = 'Request without an answer'
      this.#body.replaceChildren(...refusalContent(this.#refusals.find((refusal) => refusal.id === id)))
      if (!this.#dialog.open) this.#dialog.showModal()
      return
    }
    this.#body.replaceChildren(make('p', { class: 'empty' }, 'Loading'))
    if (!this.#dialog.open) this.#dialog.showModal()
    const shown = await load('/api/audit', new URLSearchParams({ charge: id })).then(
      content,
      (error: unknown) => [
        make('p', { class: 'problem' }, error instanceof Error ? error.message : String(error)),
      ],
    )
    if (this.#opener === id) this.#body.replaceChildren(...shown)
  }
}

function refusalContent(refusal: RefusalView | undefined): HTMLElement[] {
  if (!refusal) {
    return [
      make(
        'p',
        { class: 'empty' },
        'The gateway does not keep this request any more. It is in the audit file.',
      ),
    ]
  }
  const { state, code, why, lift, time, usd: wanted, budget, subject, charge } = refusal
  const rows: readonly (readonly [string, Content])[] = [
    ['State', refusalState(state, code)],
    ['Why', why],
    ['To lift it', lift],
    ...(wanted === null ? [] : [['Wanted', usd(wanted)] as const]),
    ...(budget === null ? [] : [['Budget', subject === null ? budget : `${budget}, ${subject}`] as const]),
    ['Time', longTime(time)],
    ['Model', refusal.model],
    ['Route', refusal.route],
    ['Caller', refusal.caller],
    ['Payer', refusal.payer],
    ['Seller', refusal.seller],
    ['Request', make('span', { class: 'hash' }, refusal.request)],
    ...(charge === null
      ? []
      : [['Charge', make('a', { href: `#${charge}`, class: 'hash' }, charge)] as const]),
  ]
  return [factsOf(rows)]
}

function content({ charge, records }: Trail): HTMLElement[] {
  return [
    facts(charge),
    make('h3', {}, 'Audit records'),
    records.length === 0
      ? make(
          'p',
          { class: 'empty' },
          'The audit file holds no record of this charge: the file was rotated, or another instance wrote the record.',
        )
      : make('ol', { class: 'trail' }, ...records.map(recordNode)),
  ]
}

function facts(charge: ChargeView): HTMLElement {
  const rows: readonly (readonly [string, Content])[] = [
    ['State', stateNode(charge)],
    [
      'Amount',
      make(
        'span',
        { class: 'number' },
        `${amountText(charge)} (${charge.charged ?? charge.amount} ${charge.asset})`,
      ),
    ],
    // For an `upto` payment the chain proved the amount taken; the signed amount stays visible.
    ...(charge.charged === null
      ? []
      : [['Signed', make('span', { class: 'number' }, `${charge.amount} ${charge.asset}`)] as const]),
    ['Reserved', longTime(charge.time)],
    ['Last change', longTime(charge.updated)],
    ['Model', charge.model],
    ['Route', charge.route],
    ['Caller', charge.caller],
    ['Payer', charge.payer],
    ['Seller', charge.seller],
    ['Network', charge.network],
    ['Paid to', make('span', { class: 'hash' }, charge.pay_to)],
    ['Transaction', make('span', { class: 'hash' }, transactionNode(charge, true) ?? '')],
    ['Request', make('span', { class: 'hash' }, charge.request)],
  ]
  return factsOf(rows)
}

function factsOf(rows: readonly (readonly [string, Content])[]): HTMLElement {
  return make(
    'dl',
    { class: 'facts' },
    ...rows.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]),
  )
}

function recordNode({ intact, record }: Trail['records'][number]): HTMLElement {
  const { seq, ts, type } = record
  const more = Object.entries(record).filter(([name, value]) => !ELSEWHERE.has(name) && value !== null)
  return make(
    'li',
    {},
    make(
      'p',
      { class: 'trail-head' },
      make('strong', {}, text(type)),
      make('span', { class: 'soft' }, `record ${text(seq)}, ${longTime(text(ts))}`),
      intact
        ? make('span', { class: 'tag' }, 'intact')
        : make('span', { class: 'tag full' }, 'changed from outside'),
    ),
    make(
      'details',
      {},
      make('summary', {}, 'What it says'),
      make(
        'dl',
        { class: 'facts small' },
        ...more.flatMap(([name, value]) => [
          make('dt', {}, name),
          make('dd', { class: 'hash' }, text(value)),
        ]),
        make('dt', {}, 'hash'),
        make('dd', { class: 'hash' }, text(record['hash'])),
      ),
    ),
  )
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
