/** `GET /docs/alerts`: the runbooks of the alerts, where a `runbook_url` leads. */
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { named, type Handler } from '../../../middleware/http/handler.ts'
import { setResponseHeaders } from '../../../middleware/http/response-headers.ts'
import type { AlertRule } from '../dashboards/alert-rule.ts'
import { ALERTS } from '../dashboards/rules.ts'

const PATHS: ReadonlySet<string> = new Set(['/docs', '/docs/', '/docs/alerts'])

/** Nothing on the page is active or comes from elsewhere. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}' +
  'pre{overflow-x:auto;padding:.75rem;background:#f2f2f2}code{font-family:ui-monospace,monospace}h2{margin-top:2.5rem}' +
  'h2:target{background:#fff3c4}@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}pre{background:#262626}' +
  'a{color:#9ecbff}h2:target{background:#5a4a00}}'

/** Serves the page to everybody: it holds nothing of the configuration. */
export function runbookPage(): Handler {
  const page = Buffer.from(html(ALERTS))
  return named<Handler>('runbookPage', (req, res, next) => {
    const path = (req.url ?? '').split(/[?#]/, 1)[0] ?? ''
    if ((req.method !== 'GET' && req.method !== 'HEAD') || !PATHS.has(path)) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = '/docs/alerts'
    setResponseHeaders(res, exchange)
    res.statusCode = 200
    res.setHeader('content-type', 'text/html; charset=utf-8')
    res.setHeader('content-length', page.length)
    res.setHeader('content-security-policy', POLICY)
    res.setHeader('x-content-type-options', 'nosniff')
    res.setHeader('referrer-policy', 'no-referrer')
    res.end(req.method === 'HEAD' ? undefined : page)
  })
}

function html(alerts: readonly AlertRule[]): string {
  const list = alerts.map(({ alert }) => `<li><a href="#${alert.toLowerCase()}">${alert}</a></li>`)
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tollway: alerts</title><style>${STYLE}</style></head>
<body>
<h1>Alerts</h1>
<p>What each alert of Tollway means, and what to do.</p>
<ul>
${list.join('\n')}
</ul>
${alerts.map(section).join('\n')}
</body>
</html>
`
}

function section({ alert, meaning, severity, for: wait, expr, steps, dashboard }: AlertRule): string {
  const grade = severity === 'budget' ? 'as the budget says (critical, or warning for one subject)' : severity
  return `<h2 id="${alert.toLowerCase()}">${alert}</h2>
<p>${text(meaning)}</p>
<ol>
${steps.map((step) => `<li>${text(step)}</li>`).join('\n')}
</ol>
<p>Severity: ${grade}. It holds for ${wait} before it fires. Dashboard: <code>/d/${dashboard}</code> in Grafana.</p>
<pre><code>${escaped(expr)}</code></pre>`
}

/** Text in which `code` stands between backticks. */
function text(words: string): string {
  return escaped(words).replaceAll(/`([^`]+)`/g, '<code>$1</code>')
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
