// A budget in USD and an audit file in front of a handler of your own, which calls OpenAI with its key.
import express from 'express'
import {
  assertOrder,
  auditLogger,
  budgetGuard,
  errorHandler,
  exchangeOf,
  originGuard,
  readBody,
} from 'tollway/middleware'

const UPSTREAM = process.env.UPSTREAM ?? 'https://api.openai.com/v1'

const app = express()
app.use(auditLogger({ path: './audit.jsonl' }), originGuard(), readBody())
app.use(
  budgetGuard({
    store: 'sqlite:./tollway.db',
    budgets: [{ name: 'openai', limitUsd: process.env.DOLLARS ?? '1.00', window: 'day' }],
    // The most that a request may cost is reserved before the handler runs; the usage of its answer is what counts.
    prices: { 'gpt-4o-mini': { inputUsdPerToken: '0.00000015', outputUsdPerToken: '0.0000006' } },
  }),
)

app.post('/v1/chat/completions', async (req, res) => {
  const answer = await fetch(`${UPSTREAM}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.UPSTREAM_KEY}` },
    body: exchangeOf(req).request.body,
  })
  res.status(answer.status).json(await answer.json())
})

app.use(errorHandler())
assertOrder(app)
app.listen(process.env.PORT ?? 8402, '127.0.0.1')
