// An agent with a dollar a day: it asks until its budget is spent, and learns when it may go on.
import { createGateway, parseConfig } from 'tollway'

const gateway = await createGateway(
  parseConfig(
    {
      listen: `127.0.0.1:${process.env.PORT ?? 8402}`,
      payers: { base: { kind: 'direct', key: '${env:TOLLWAY_WALLET_KEY}', networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: process.env.TOLLWAY_SELLER, payer: 'base' }],
      budgets: [{ name: 'agent', limit_usd: process.env.DOLLARS ?? '1.00', window: 'day' }],
      log: { level: 'error' },
    },
    process.env,
  ),
)
const { url } = await gateway.listen()

for (let step = 1; ; step += 1) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'paid/sandbox-small',
      messages: [{ role: 'user', content: `Step ${step}: what next?` }],
    }),
  })
  const answer = await response.json()
  if (!response.ok) {
    console.log(`stopped: ${answer.error.code}: ${answer.error.message}`)
    break
  }
  console.log(`step ${step} cost $${answer.usage.cost}: ${answer.choices[0].message.content}`)
}
await gateway.close()
