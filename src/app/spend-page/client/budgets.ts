/// <reference lib="dom" />
/** Budgets as bars: how much of the limit is spent, held and uncertain. */
import type { Budget } from './data.ts'
import { find, make } from './dom.ts'
import { host, share, shortUsd, units } from './format.ts'

const PARTS = ['spent', 'held', 'uncertain'] as const

/** Shows every budget; one with a scope has a row for each of its subjects. */
export function showBudgets(budgets: readonly Budget[]): void {
  const nodes =
    budgets.length === 0
      ? [
          make(
            'p',
            { class: 'empty' },
            'No budgets are configured: only policy.max_usd_per_request limits what is spent. Add some under budgets.',
          ),
        ]
      : budgets.map(budgetNode)
  find('budgets', HTMLElement).replaceChildren(...nodes)
}

function budgetNode(budget: Budget): HTMLElement {
  const taken = PARTS.reduce((sum, part) => sum + share(amount(budget, part), amount(budget, 'limit')), 0)
  const level = taken >= 1 ? 'full' : taken >= 0.8 ? 'near' : 'free'
  return make(
    'article',
    { class: 'budget', 'data-level': level },
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
  const words = level === 'full' ? 'used up' : level === 'near' ? `${Math.floor(taken * 100)} % used` : ''
  return [
    ...(words === '' ? [] : [make('span', { class: `tag ${level}` }, words)]),
    ...(budget.enforce ? [] : [make('span', { class: 'tag' }, 'not enforced')]),
  ]
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
  return budget.asset === undefined ? shortUsd(text) : `${units(text, budget.decimals ?? 0)} ${budget.asset}`
}
