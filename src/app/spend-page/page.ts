/** The spend page: one document, one script, one style sheet, all served by the gateway itself. */

export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tollway: spend</title>
<link rel="stylesheet" href="/dashboard/page.css">
<script type="module" src="/dashboard/page.js"></script>
</head>
<body>
<header><h1>Tollway</h1><p id="state" role="status">Loading</p></header>
<main>
<section aria-labelledby="budgets-title">
<h2 id="budgets-title">Budgets</h2>
<div id="budgets"></div>
</section>
<section aria-labelledby="charges-title">
<h2 id="charges-title">Latest charges</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="charges-title">
<table>
<thead><tr><th scope="col">Time</th><th scope="col">State</th><th scope="col">Model</th><th scope="col">Caller</th><th scope="col" class="number">USD</th><th scope="col">Seller</th><th scope="col">Transaction</th></tr></thead>
<tbody id="charges"></tbody>
</table>
</div>
</section>
</main>
</body>
</html>
`

export const PAGE_STYLE = `:root{color-scheme:light dark;--line:light-dark(#d5d9e0,#3a3f4b);--soft:light-dark(#5b6472,#a5adba);--spent:light-dark(#2456c8,#7aa2ff);--pending:light-dark(#b45309,#f5b255);--bar:light-dark(#e8ebf0,#262a33)}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1rem;font:16px/1.5 system-ui,sans-serif}
header{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap}
h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:1.5rem 0 .5rem}
#state,.note{color:var(--soft);margin:0}
.budget{margin:0 0 1rem}
.bar{display:flex;height:.75rem;border-radius:.375rem;overflow:hidden;background:var(--bar);margin:.25rem 0}
.bar svg{width:100%;height:100%;display:block}
.spent{fill:var(--spent)}.pending{fill:var(--pending)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);white-space:nowrap}
.number{text-align:right}
td.hash{font-family:ui-monospace,monospace}
`

export const PAGE_SCRIPT = `const REFRESH_MS = 2000
const byId = (id) => document.getElementById(id)
const element = (name, text, className) => {
  const node = document.createElement(name)
  if (text !== undefined) node.textContent = text
  if (className) node.className = className
  return node
}
const sum = (budget, name) => Number(budget.asset ? budget[name] : budget[name + '_usd'])
const written = (budget, name) => budget.asset ? (sum(budget, name) / 10 ** budget.decimals) + ' ' + budget.asset : '$' + budget[name + '_usd']
const share = (part, whole) => (Number(whole) > 0 ? Math.min(100, (Number(part) / Number(whole)) * 100) : 0)

function bar(budget) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 100 1')
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('aria-hidden', 'true')
  let x = 0
  for (const [className, amount] of [['spent', sum(budget, 'spent')], ['pending', sum(budget, 'held') + sum(budget, 'uncertain')]]) {
    const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
    const width = Math.min(100 - x, share(amount, sum(budget, 'limit')))
    rect.setAttribute('class', className)
    rect.setAttribute('x', x)
    rect.setAttribute('width', width)
    rect.setAttribute('height', 1)
    x += width
    svg.append(rect)
  }
  const holder = element('div', undefined, 'bar')
  holder.append(svg)
  return holder
}

function budgetNode(budget) {
  const node = element('div', undefined, 'budget')
  const whose = budget.per ? ', ' + budget.per + ' ' + (budget.subject ?? '(nobody yet)') : ''
  const mode = budget.enforce ? '' : ', not enforced'
  node.append(element('strong', budget.budget + ' (' + budget.window + whose + mode + ')'), bar(budget))
  const reset = budget.window_end ? ', resets ' + new Date(budget.window_end).toLocaleString() : ''
  const soft = (budget.soft_usd ?? null) === null ? '' : ', soft limit $' + budget.soft_usd
  node.append(element('p', written(budget, 'spent') + ' spent, ' + written(budget, 'held') + ' held, ' + written(budget, 'uncertain') + ' uncertain of ' + written(budget, 'limit') + soft + reset, 'note'))
  return node
}

function chargeRow(charge) {
  const row = document.createElement('tr')
  row.append(
    element('td', new Date(charge.time).toLocaleString()),
    element('td', charge.state + (charge.proof ? ' (' + charge.proof + ')' : '')),
    element('td', charge.model),
    element('td', charge.caller),
    element('td', charge.usd ?? charge.amount + ' ' + charge.asset, 'number'),
    element('td', charge.seller),
    element('td', charge.transaction ?? '', 'hash'),
  )
  return row
}

async function load(path) {
  const answer = await fetch(path, { cache: 'no-store' })
  if (!answer.ok) throw new Error('status ' + answer.status)
  return answer.json()
}

async function refresh() {
  try {
    const [{ budgets, time }, { charges }] = await Promise.all([load('/api/budgets'), load('/api/charges')])
    byId('budgets').replaceChildren(...(budgets.length ? budgets.map(budgetNode) : [element('p', 'No budgets are configured.', 'note')]))
    byId('charges').replaceChildren(...charges.map(chargeRow))
    byId('state').textContent = 'As of ' + new Date(time).toLocaleTimeString()
  } catch (error) {
    byId('state').textContent = 'Cannot load: ' + error.message
  }
  setTimeout(refresh, REFRESH_MS)
}

await refresh()
`
