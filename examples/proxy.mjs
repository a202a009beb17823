// The payment interceptor in front of an http-proxy-middleware that was there before: it keeps every other model and path.
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import {
  assertOrder,
  budgetGuard,
  errorHandler,
  idempotency,
  modelRouter,
  originGuard,
  paymentInterceptor,
  readBody,
  sseRestreamer,
} from 'tollway/middleware'
import { direct } from 'tollway/providers'

const wallet = await direct({
  key: { source: 'env', name: 'TOLLWAY_WALLET_KEY' },
  networks: ['base-sepolia'],
})

const app = express()
app.use(originGuard(), readBody())
app.use(
  modelRouter({
    routes: [{ modelName: 'paid/*', model: '*', apiBase: process.env.TOLLWAY_SELLER, payer: 'wallet' }],
    unclaimed: 'next',
  }),
)
app.use(idempotency({ store: 'sqlite:./tollway.db' }))
app.use(budgetGuard({ budgets: [{ name: 'day', limitUsd: '1.00', window: 'day' }] }))
app.use(paymentInterceptor({ payers: { wallet } }), sseRestreamer())

app.use(
  createProxyMiddleware({ target: process.env.UPSTREAM ?? 'http://127.0.0.1:4000', changeOrigin: true }),
)

app.use(errorHandler())
assertOrder(app)
app.listen(process.env.PORT ?? 8402, '127.0.0.1')
