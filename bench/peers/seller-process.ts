/** A seller that answers after a given time: with its price, or with the answer when a payment is there. It verifies nothing. */
import { z } from 'zod'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'
import { challengeV2, completion, OFFER, RECEIPT, send } from '../../src/testing/seller/seller-answers.ts'
import { servePart } from '../child.ts'

await servePart(z.strictObject({ delayMs: z.number() }), async ({ delayMs }) => {
  let received = 0
  let paid = 0
  const server = await serveOnLoopback((request, response) => {
    received += 1
    request.resume()
    request.once('end', () => {
      setTimeout(() => {
        if (request.headers['payment-signature'] === undefined) return send(response, challengeV2([OFFER]))
        paid += 1
        send(
          response,
          completion({}, { ...RECEIPT, transaction: `0x${paid.toString(16).padStart(64, '0')}` }),
        )
      }, delayMs)
    })
  })
  return {
    facts: { url: `${server.url}/v1` },
    figures: { received: () => Promise.resolve(received), paid: () => Promise.resolve(paid) },
    close: () => server.close(),
  }
})
