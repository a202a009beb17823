/// <reference lib="dom" />
/** The spend page: loads and shows what the address asks for, and keeps it up to date. */
import { showApprovals } from './approvals-panel.ts'
import { BudgetPanel } from './budgets.ts'
import { ChargeTable } from './charges.ts'
import { SpendChart } from './chart.ts'
import { load, UnreachableError, type SpendView, type StateSum } from './data.ts'
import { find, say } from './dom.ts'
import { bucketOf, FilterForm, filterQuery, readView, writeView, type View } from './filters.ts'
import { addUsd, count, longTime, usd } from './format.ts'
import { showFunds } from './funds-panel.ts'
import { follow, reloadNowAndThen } from './live.ts'
import { RecordView } from './record.ts'
import { Refresher } from './refresh.ts'
import { showRefusals } from './refusals-panel.ts'
import { nextTheme, theme } from './theme.ts'

const budgetPanel = new BudgetPanel()
const chart = new SpendChart()
const records = new RecordView()
const table = new ChargeTable(complain)
const form = new FilterForm(go)
let view = readView(location.search)
/** When the numbers on the page came. */
let asOf: Date | undefined
/** Counts views: responses for a view that was left are not shown. */
let turn = 0

function go(next: View): void {
  const address = location.pathname + writeView(next)
  if (address !== location.pathname + location.search) history.pushState(null, '', address)
  void showView(next, true)
}

async function showView(next: View, announce: boolean): Promise<void> {
  view = next
  form.show(view)
  const query = filterQuery(view, Date.now())
  for (const format of ['csv', 'json']) {
    const link = find(`export-${format}`, HTMLAnchorElement)
    link.href = `/api/charges/export?${new URLSearchParams([...query, ['format', format]]).toString()}`
  }
  turn += 1
  const mine = turn
  try {
    const filtered = Object.keys(view.names).length > 0
    const [spend, told] = await Promise.all([
      load('/api/spend', spendQueryOf(query)),
      load('/api/refusals'),
      table.show(query, filtered),
      loadState(),
    ])
    if (mine !== turn) return
    showSpend(spend)
    records.know(told.refusals)
    showRefusals(told.refusals, told.since, told.total)
    table.refused(told.refusals)
    find('problem', HTMLElement).hidden = true
    asOf = new Date()
    delete document.body.dataset['old']
    if (announce) say('announce', `${usd(spend.total_usd)} in this view`)
  } catch (error) {
    if (mine === turn) complain(error)
  }
}

/** Loads the data that does not depend on the filters. */
async function loadState(): Promise<void> {
  const [{ budgets }, funds, { approvals }] = await Promise.all([
    load('/api/budgets'),
    load('/api/funds'),
    load('/api/approvals'),
  ])
  showApprovals(approvals, complain, refreshSoon)
  budgetPanel.show(budgets)
  showFunds(funds)
}

function spendQueryOf(query: URLSearchParams): URLSearchParams {
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions()
  const more = new URLSearchParams(query)
  more.set('bucket', bucketOf(view, Date.now()))
  more.set('timezone', timeZone)
  if (view.by !== '') more.set('by', view.by)
  return more
}

function showSpend(spend: SpendView): void {
  chart.show(spend, view.by)
  const settled = sumOf(spend.states, ['settled'])
  const flying = sumOf(spend.states, ['held', 'authorized'])
  const uncertain = sumOf(spend.states, ['uncertain'])
  const released = sumOf(spend.states, ['released'])
  say('figure-spent', usd(settled.usd))
  say(
    'note-spent',
    settled.unpriced === 0 ? 'settled' : `settled, and ${count(settled.unpriced)} without a USD value`,
  )
  say('figure-tokens', spend.usd_per_1k_tokens === null ? '-' : usd(spend.usd_per_1k_tokens))
  say(
    'note-tokens',
    spend.usd_per_1k_tokens === null ? 'no answer told its tokens' : 'as far as answers told them',
  )
  say('figure-count', count(settled.charges))
  say('note-count', `${count(released.charges)} released unspent`)
  say('figure-held', usd(flying.usd))
  say('note-held', `${count(flying.charges)} held or authorized`)
  say('figure-uncertain', usd(uncertain.usd))
  say(
    'note-uncertain',
    uncertain.charges === 0 ? 'nothing open' : `${count(uncertain.charges)} awaiting proof`,
  )
  find('figure-uncertain', HTMLElement).classList.toggle('attention', uncertain.charges > 0)
}

function sumOf(sums: readonly StateSum[], states: readonly string[]): Omit<StateSum, 'state'> {
  const own = sums.filter(({ state }) => states.includes(state))
  return {
    charges: own.reduce((sum, { charges }) => sum + charges, 0),
    unpriced: own.reduce((sum, { unpriced }) => sum + unpriced, 0),
    usd: addUsd(own.map((sum) => sum.usd)),
  }
}

function complain(error: unknown): void {
  const node = find('problem', HTMLElement)
  const words = error instanceof Error ? error.message : String(error)
  const isOld = error instanceof UnreachableError && asOf !== undefined
  node.textContent = isOld
    ? `${words} What you see is old: it is as of ${longTime(asOf?.toISOString() ?? '')}.`
    : words
  node.hidden = false
  if (isOld) document.body.dataset['old'] = ''
}

/** Reloads totals and budgets after changes. A hidden page waits until it is visible again. */
const refresher = new Refresher(async () => {
  if (!document.hidden) await showView(view, false)
})
const refreshSoon = (): void => refresher.soon()

const themeButton = find('theme', HTMLButtonElement)
themeButton.textContent = `Theme: ${theme()}`
themeButton.addEventListener('click', () => {
  themeButton.textContent = `Theme: ${nextTheme()}`
  chart.redraw()
})
addEventListener('popstate', () => {
  const next = readView(location.search)
  if (writeView(next) !== writeView(view)) void showView(next, true)
})

async function offerNames(): Promise<void> {
  const facets = await load('/api/facets')
  form.offer(facets)
  form.show(view)
  find('sign-out', HTMLElement).hidden = !facets.sign_out
}

offerNames().catch(complain)
await showView(view, false)
await records.follow()
follow({
  charge: (charge) => {
    table.change(charge)
    refreshSoon()
  },
  reload: refreshSoon,
})
reloadNowAndThen(refreshSoon)
