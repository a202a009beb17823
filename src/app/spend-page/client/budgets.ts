/// <reference lib="dom" />
/** Budgets as bars: how much of the limit is spent, held and uncertain. */
import type { Budget } from './data.ts'
import { find, make, say } from './dom.ts'
import { count, host, share, units, usd } from './format.ts'

const PARTS = ['spent', 'held', 'uncertain'] as const

/** So many are shown at once: with one for each caller, the others would push everything else off the screen. */
const SHOWN = 10

/** Shows the budgets by the share that is used; one with a scope has a row for each of its subjects. */
export class BudgetPanel {
  readonly #list = find('budgets', HTMLElement)
  readonly #fold = find('budgets-fold', HTMLDetailsElement)
  readonly #rest = find('budgets-rest', HTMLElement)
  readonly #search = find('budgets-search', HTMLInputElement)
  #folded: readonly Budget[] = []

  constructor() {
    this.#search.addEventListener('input', () => this.#showRest())
  }

  /** Shows the ten nearest to their limits, and keeps the others folded, and searched as they were. */
  show(budgets: readonly Budget[]): void {
    const sorted = budgets.toSorted((a, b) => takenOf(b) - takenOf(a))
    this.#folded = sorted.slice(SHOWN)
    this.#list.replaceChildren(
      ...(sorted.length === 0
        ? [make('p', { class: 'empty' }, NONE)]
        : sorted.slice(0, SHOWN).map(budgetNode)),
    )
    this.#fold.hidden = this.#folded.length === 0
    say('budgets-more', `${count(this.#folded.length)} more, further from their limits`)
    this.#showRest()
  }

  #showRest(): void {
    const wanted = this.#search.value.trim().toLowerCase()
    const found = this.#folded.filter(({ budget, subject }) =>
      `${budget} ${subject ?? ''}`.toLowerCase().includes(wanted),
    )
    this.#rest.replaceChildren(
      ...(found.length === 0
        ? [make('p', { class: 'empty' }, 'None of them has this name.')]
        : found.map(budgetNode)),
    )
  }
}

const NONE =
  'No budgets are configured: only policy.max_usd_per_request limits what is spent. Add some under budgets.'

/** The share of the limit that is spent, held or uncertain; over 1 where nothing enforces it. */
function takenOf(budget: Budget): number {
  const limit = Number(amount(budget, 'limit'))
  const taken = PARTS.reduce((sum, part) => sum + Number(amount(budget, part)), 0)
  return limit > 0 ? taken / limit : taken > 0 ? Infinity : 0
}

function budgetNode(budget: Budget): HTMLElement {
  const taken = takenOf(budget)
  const level = taken >= 1 ? 'full' : taken >= 0.8 ? 'near' : 'free'
  return make(
    'article',
    { class: 'budget', 'data-level': level, 'data-enforced': String(budget.enforce) },
    make(
      'p',
      { class: 'budget-head' },
      make('strong', {}, budget.budget),
      make('span', { class: 'soft' }, whose(budget)),
      ...marks(budget, level, taken),
      make(
        'span',
        { class: 'number' },
        written(budget, 'spent'),
        make('span', { class: 'soft' }, ` of ${written(budget, 'limit')}`),
      ),
    ),
    bar(budget),
    make(
      'p',
      { class: 'budget-foot soft' },
      make('span', {}, `${written(budget, 'held')} held`),
      make('span', {}, `${written(budget, 'uncertain')} uncertain`),
      make('span', {}, `${written(budget, 'remaining')} left`),
      make('span', { class: 'resets' }, resets(budget)),
    ),
  )
}

function whose({ per, subject, window }: Budget): string {
  if (per === null) return `per ${window}`
  return `${per} ${subject === null ? '(none yet)' : host(subject)}, per ${window}`
}

function marks(budget: Budget, level: string, taken: number): HTMLElement[] {
  if (!budget.enforce) {
    const over = taken > 1 ? [make('span', { class: 'tag' }, 'would refuse')] : []
    return [make('span', { class: 'tag watched' }, 'only watched'), ...over]
  }
  const words = level === 'full' ? 'used up' : level === 'near' ? `${Math.floor(taken * 100)} % used` : ''
  return words === '' ? [] : [make('span', { class: `tag ${level}` }, words)]
}

/** The bar of a budget; its numbers are next to it as text. */
function bar(budget: Budget): HTMLElement {
  const limit = amount(budget, 'limit')
  const soft = softOf(budget)
  const holder = make('div', { class: 'bar', 'aria-hidden': 'true' })
  for (const part of PARTS) {
    const piece = make('span', { class: part })
    piece.style.width = `${share(amount(budget, part), limit) * 100}%`
    holder.append(piece)
  }
  if (soft !== undefined) {
    const line = make('i', { class: 'soft-line' })
    line.style.left = `${share(soft, limit) * 100}%`
    holder.append(line)
  }
  return holder
}

function resets({ window_end: end, window }: Budget): string {
  if (end === null) return window === 'lifetime' || window === 'request' ? '' : 'rolls on'
  const minutes = Math.max(0, Math.round((Date.parse(end) - Date.now()) / 60_000))
  if (minutes < 60) return `resets in ${minutes} min`
  return minutes < 2880
    ? `resets in ${Math.floor(minutes / 60)} h ${minutes % 60} min`
    : `resets in ${Math.floor(minutes / 1440)} d`
}

function amount(budget: Budget, name: string): string {
  const value = budget[budget.asset === undefined ? `${name}_usd` : name]
  return typeof value === 'string' ? value : '0'
}

function softOf(budget: Budget): string | undefined {
  const value = budget[budget.asset === undefined ? 'soft_usd' : 'soft']
  return typeof value === 'string' ? value : undefined
}

function written(budget: Budget, name: string): string {
  const text = amount(budget, name)
  return budget.asset === undefined ? usd(text) : `${units(text, budget.decimals ?? 0)} ${budget.asset}`
}
