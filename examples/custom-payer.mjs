// A payer of your own. Here the key is in this process; in yours, `sign` asks a KMS or a custody service.
import { randomBytes } from 'node:crypto'
import express from 'express'
import { tollway } from 'tollway'
import { composeAuthorization, encodePayment, Quote, toEip712, toTyped, toWire } from 'tollway/providers'
import { privateKeyToAccount } from 'viem/accounts'

const account = privateKeyToAccount(process.env.TOLLWAY_WALLET_KEY)

/** EIP-712 in the JSON form that wallets and KMS take. */
const sign = async (typed) => await account.signTypedData(typed)

const custody = {
  name: 'custody',
  address: account.address.toLowerCase(),
  networks: ['eip155:84532'],
  supports: (offer) => offer.scheme === 'exact' && offer.network === 'eip155:84532',
  async authorize(quote, charge, signal) {
    if (!Quote.isVetted(quote)) throw new TypeError('not a quote that passed the gate')
    signal.throwIfAborted()
    const record = composeAuthorization(
      quote,
      custody.address,
      `0x${randomBytes(32).toString('hex')}`,
      Date.now(),
    )
    const signature = await sign(toEip712(toTyped(quote, record)))
    console.log(`signed ${quote.amount} units of ${quote.asset.symbol} for ${charge}`)
    const payload = { signature, authorization: toWire(quote, record) }
    return { kind: 'authorization', header: encodePayment(quote.offer, quote.resource, payload), record }
  },
  closed: async (charge, { state }) => console.log(`${charge} ${state}`),
  close: async () => {},
}

const app = express()
app.use(
  tollway(
    {
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: process.env.TOLLWAY_SELLER, payer: 'custody' },
      ],
      budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
    },
    { payers: { custody } },
  ),
)
app.listen(process.env.PORT ?? 8402, '127.0.0.1')
