/// <reference lib="dom" />
/** The filters: kept in the address, so that a view can be shared and the back button works. */
import { find, make, say } from './dom.ts'
import type { FacetsView } from './data.ts'

const NAMES = ['state', 'route', 'payer', 'seller', 'caller'] as const
const RANGES: Readonly<Record<string, number>> = {
  '1h': 3_600_000,
  '24h': 86_400_000,
  '7d': 604_800_000,
  '30d': 2_592_000_000,
}
const DEFAULT_RANGE = '24h'

/** A view of the page: exactly what its address contains. */
export interface View {
  readonly range: string
  /** RFC 3339; only for the range `custom`. */
  readonly from: string | undefined
  readonly to: string | undefined
  readonly by: string
  readonly names: Readonly<Partial<Record<(typeof NAMES)[number], string>>>
}

/** Parses the view from an address. Invalid values are ignored. */
export function readView(search: string): View {
  const query = new URLSearchParams(search)
  const custom = query.get('from') ?? query.get('to')
  const range = query.get('range') ?? DEFAULT_RANGE
  return {
    range: custom === null ? (range in RANGES ? range : DEFAULT_RANGE) : 'custom',
    from: instant(query.get('from')),
    to: instant(query.get('to')),
    by: query.get('by') ?? '',
    names: Object.fromEntries(NAMES.flatMap((name) => [[name, query.get(name)] as const].filter(has))),
  }
}

/** The query of a view's address; empty for the default view. */
export function writeView(view: View): string {
  const query = new URLSearchParams()
  if (view.range !== 'custom' && view.range !== DEFAULT_RANGE) query.set('range', view.range)
  if (view.range === 'custom' && view.from !== undefined) query.set('from', view.from)
  if (view.range === 'custom' && view.to !== undefined) query.set('to', view.to)
  if (view.by !== '') query.set('by', view.by)
  for (const [name, value] of Object.entries(view.names)) query.set(name, value)
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}

/** The charges of a view, as a query for `/api`. */
export function filterQuery(view: View, now: number): URLSearchParams {
  const query = new URLSearchParams(view.names)
  const { from, to } = bounds(view, now)
  query.set('from', new Date(from).toISOString())
  if (to !== undefined) query.set('to', new Date(to).toISOString())
  return query
}

/** The interval of a view's chart, chosen so that the chart has 24 to 60 of them. */
export function bucketOf(view: View, now: number): 'minute' | 'hour' | 'day' | 'month' {
  const { from, to = now } = bounds(view, now)
  const hours = (to - from) / 3_600_000
  if (hours <= 2) return 'minute'
  if (hours <= 96) return 'hour'
  return hours <= 24 * 200 ? 'day' : 'month'
}

function bounds(view: View, now: number): { readonly from: number; readonly to: number | undefined } {
  const from = view.range === 'custom' ? view.from : undefined
  const to = view.range === 'custom' ? view.to : undefined
  const end = to === undefined ? undefined : Date.parse(to)
  const start = from === undefined ? (end ?? now) - (RANGES[view.range] ?? 86_400_000) : Date.parse(from)
  return { from: start, to: end }
}

/** The form of the filters. */
export class FilterForm {
  readonly #form = find('filters', HTMLFormElement)
  readonly #by = find('by', HTMLSelectElement)
  readonly #changed: (view: View) => void

  /** @param changed called when the user chooses another view */
  constructor(changed: (view: View) => void) {
    this.#changed = changed
    const fold = find('fold-filters', HTMLButtonElement)
    fold.addEventListener('click', () => {
      const isOpen = fold.getAttribute('aria-expanded') === 'true'
      fold.setAttribute('aria-expanded', String(!isOpen))
      this.#form.classList.toggle('unfolded', !isOpen)
    })
    this.#form.addEventListener('submit', (event) => event.preventDefault())
    this.#form.addEventListener('change', () => this.#changed(this.#read()))
    this.#by.addEventListener('change', () => this.#changed(this.#read()))
    find('clear', HTMLButtonElement).addEventListener('click', () => {
      this.#changed({ ...this.#read(), range: DEFAULT_RANGE, from: undefined, to: undefined, names: {} })
      this.#form.querySelector<HTMLInputElement>('input:checked')?.focus()
    })
  }

  /** Fills the lists of names. */
  offer(facets: FacetsView): void {
    const lists = {
      state: facets.states,
      route: facets.routes,
      payer: facets.payers,
      seller: facets.sellers,
      caller: facets.callers,
    }
    for (const name of NAMES) {
      const { value } = this.#select(name)
      this.#select(name).replaceChildren(
        make('option', { value: '' }, `Any ${name}`),
        ...lists[name].map((text) => make('option', { value: text }, text)),
      )
      this.#choose(name, value)
    }
    for (const tag of facets.tags) this.#offerGroup(`tag.${tag}`)
  }

  /** Shows a view. */
  show(view: View): void {
    for (const input of this.#form.querySelectorAll<HTMLInputElement>('input[name=range]')) {
      input.checked = input.value === view.range
    }
    find('custom', HTMLElement).hidden = view.range !== 'custom'
    this.#input('from').value = localText(view.from)
    this.#input('to').value = localText(view.to)
    for (const name of NAMES) this.#choose(name, view.names[name] ?? '')
    if (view.by !== '') this.#offerGroup(view.by)
    this.#by.value = view.by
    const chosen = Object.keys(view.names).length
    say('fold-filters', chosen === 0 ? 'Filters' : `Filters (${chosen})`)
    const plain = view.range === DEFAULT_RANGE && Object.keys(view.names).length === 0
    find('clear', HTMLButtonElement).disabled = plain
  }

  /** A tag that the address names may not be in the configuration any more. */
  #offerGroup(value: string): void {
    if ([...this.#by.options].some((option) => option.value === value)) return
    this.#by.append(make('option', { value }, value.replace(/^tag\./, 'tag ')))
  }

  #read(): View {
    const data = new FormData(this.#form)
    const text = (name: string): string => {
      const value = data.get(name)
      return typeof value === 'string' ? value : ''
    }
    const range = text('range') === '' ? DEFAULT_RANGE : text('range')
    const given = instant(text('from'))
    return {
      range,
      // A custom range starts as the last day: an empty form would show nothing.
      from: range === 'custom' ? (given ?? new Date(Date.now() - 86_400_000).toISOString()) : undefined,
      to: range === 'custom' ? instant(text('to')) : undefined,
      by: this.#by.value,
      names: Object.fromEntries(
        NAMES.map((name) => [name, text(name)] as const).filter(([, to]) => to !== ''),
      ),
    }
  }

  /** A name that is no longer in the list may still belong to charges. */
  #choose(name: (typeof NAMES)[number], value: string): void {
    const select = this.#select(name)
    if (value !== '' && ![...select.options].some((option) => option.value === value)) {
      select.append(make('option', { value }, value))
    }
    select.value = value
  }

  #select(name: string): HTMLSelectElement {
    const node = this.#form.elements.namedItem(name)
    if (!(node instanceof HTMLSelectElement)) throw new Error(`the page has no list ${name}`)
    return node
  }

  #input(name: string): HTMLInputElement {
    const node = this.#form.elements.namedItem(name)
    if (!(node instanceof HTMLInputElement)) throw new Error(`the page has no field ${name}`)
    return node
  }
}

function has(entry: readonly [string, string | null]): entry is readonly [string, string] {
  return entry[1] !== null && entry[1] !== ''
}

function instant(text: string | null): string | undefined {
  const time = text === null || text === '' ? Number.NaN : Date.parse(text)
  return Number.isNaN(time) ? undefined : new Date(time).toISOString()
}

/** Formats a time for a date and time field: local, without a zone. */
function localText(iso: string | undefined): string {
  if (iso === undefined) return ''
  const date = new Date(iso)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}
