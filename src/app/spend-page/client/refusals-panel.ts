/// <reference lib="dom" />
/** What was refused or failed, why, and how to lift it: one entry for each cause. */
import type { RefusalView } from './data.ts'
import { find, make, say } from './dom.ts'
import { count, longTime, shortTime } from './format.ts'

/** So many causes are shown at once. */
const SHOWN = 5

/** Requests that ended for the same reason at the same place. */
interface Cause {
  readonly newest: RefusalView
  readonly count: number
}

/** Shows the causes, the most frequent first. @param since RFC 3339: since when the gateway keeps them */
export function showRefusals(refusals: readonly RefusalView[], since: string, total: number): void {
  const causes = causesOf(refusals)
  const nodes = causes.map(causeNode)
  say('refusals-count', total === 0 ? '' : `${count(total)} since ${shortTime(since)}`)
  find('refusals', HTMLElement).replaceChildren(
    ...(nodes.length === 0
      ? [make('p', { class: 'empty' }, `Nothing was refused and nothing failed since ${longTime(since)}.`)]
      : nodes.slice(0, SHOWN)),
  )
  const fold = find('refusals-fold', HTMLDetailsElement)
  fold.hidden = nodes.length <= SHOWN
  say('refusals-more', `${count(Math.max(0, nodes.length - SHOWN))} more causes`)
  find('refusals-rest', HTMLElement).replaceChildren(...nodes.slice(SHOWN))
}

function causesOf(refusals: readonly RefusalView[]): Cause[] {
  const groups = Map.groupBy(refusals, ({ state, code, budget, subject, seller, route }) =>
    JSON.stringify([state, code, ...(budget === null ? [seller, route] : [budget, subject])]),
  )
  return [...groups.values()]
    .flatMap((all) => {
      const [newest] = all
      return newest ? [{ newest, count: all.length }] : []
    })
    .toSorted((a, b) => b.count - a.count)
}

function causeNode({ newest, count: number }: Cause): HTMLElement {
  const { state, code, why, lift, time, id } = newest
  return make(
    'article',
    { class: 'refusal' },
    make(
      'p',
      { class: 'refusal-head' },
      make('span', { class: 'state', 'data-state': state }, make('span', { class: 'state-name' }, state)),
      make('strong', {}, code.replaceAll('_', ' ')),
      make('span', { class: 'soft' }, whereOf(newest)),
      make('span', { class: 'number' }, number === 1 ? 'once' : `${count(number)} times`),
    ),
    make('p', {}, why),
    make('p', { class: 'soft' }, make('span', {}, 'To lift it: '), lift),
    make(
      'p',
      { class: 'soft' },
      'Last at ',
      make('time', { datetime: time, title: longTime(time) }, shortTime(time)),
      ', ',
      make(
        'a',
        { href: `#${id}` },
        'show it',
        make('span', { class: 'hidden' }, `: the last request with ${code}`),
      ),
    ),
  )
}

function whereOf({ budget, subject, route, seller, caller }: RefusalView): string {
  if (budget !== null) return subject === null ? `budget ${budget}` : `budget ${budget}, ${subject}`
  if (route === 'none') return `caller ${caller}`
  return seller === '' ? route : `${route} at ${seller}`
}
