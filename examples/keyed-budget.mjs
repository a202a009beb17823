// A budget in USD in front of an upstream that is paid by its own key and bills by tokens.
import express from 'express'
import {
  assertOrder,
  auditLogger,
  budgetGuard,
  errorHandler,
  modelRouter,
  originGuard,
  paymentInterceptor,
  readBody,
  sseRestreamer,
} from 'tollway/middleware'

const app = express()
app.use(auditLogger({ path: './audit.jsonl' }), originGuard(), readBody())
app.use(
  modelRouter({
    routes: [
      {
        modelName: 'gpt-4o-mini',
        apiBase: process.env.UPSTREAM ?? 'https://api.openai.com/v1',
        apiKey: process.env.UPSTREAM_KEY,
        // The most that a request may cost is reserved before it is sent; the usage of its answer is what counts.
        info: { inputUsdPerToken: '0.00000015', outputUsdPerToken: '0.0000006' },
      },
    ],
  }),
)
app.use(
  budgetGuard({
    store: 'sqlite:./tollway.db',
    budgets: [{ name: 'openai', limitUsd: process.env.DOLLARS ?? '1.00', window: 'day' }],
  }),
)
// It sends to the upstream as well; nothing here has a payer.
app.use(paymentInterceptor({ payers: {} }), sseRestreamer(), errorHandler())
assertOrder(app)
app.listen(process.env.PORT ?? 8402, '127.0.0.1')
