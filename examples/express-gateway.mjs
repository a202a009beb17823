// Paid routes in an Express gateway that serves models of its own.
import express from 'express'
import { tollway } from 'tollway'

const app = express()

app.use(
  tollway({
    payers: { base: { kind: 'direct', key: '${env:TOLLWAY_WALLET_KEY}', networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: process.env.TOLLWAY_SELLER, payer: 'base' }],
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
  }),
)

// What the gateway did before: every other model, with its body parsed as ever.
app.post('/v1/chat/completions', express.json(), (req, res) => {
  res.json({
    object: 'chat.completion',
    model: req.body.model,
    choices: [
      { index: 0, message: { role: 'assistant', content: 'from my own model' }, finish_reason: 'stop' },
    ],
  })
})

app.listen(process.env.PORT ?? 8402, '127.0.0.1')
