/** The receipt that a seller puts into its answer instead of a header: it is read as the answer passes, and never waited for. */
import { namedTransaction } from '../../core/charge/judge-paid-answer.ts'
import type { Exchange, Reply } from '../../core/request/exchange.ts'
import { ReceiptTap } from '../../core/x402/receipt-tap.ts'
import { decodeReceipt, type Receipt } from '../../core/x402/receipt.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import type { IncomingReply } from '../../io/transport/upstream.ts'
import { checkedReceipt, flagFindings } from './paid-receipt.ts'

/**
 * The answer to a payment that had no receipt in its headers: a receipt in its JSON, its events or its trailers proves the
 * charge, which is settled already, better than the answer alone. It is recorded before the end of the body is passed on.
 * @param trailers those of the seller's answer, filled when it has ended
 */
export function readingReceipt(
  ledger: Pick<Ledger, 'receipts' | 'settle' | 'flag'>,
  exchange: Exchange,
  reply: Omit<Reply, 'kind'>,
  trailers: IncomingReply['trailers'],
): Omit<Reply, 'kind'> {
  let booked: Promise<void> | undefined
  const book = async (found: Receipt): Promise<void> => {
    const { charge } = exchange.payment
    if (charge?.proof !== 'assumed') return
    const { receipt, findings } = await checkedReceipt(ledger, charge, found)
    const proven = receipt && (await ledger.settle(charge, 'receipt', namedTransaction(receipt)))
    exchange.payment.charge = proven ?? charge
    await flagFindings(ledger, proven ?? charge, exchange.record, findings)
  }
  const note = (found: Receipt | undefined): void => {
    if (found) booked ??= book(found).catch(() => undefined)
  }
  const watched = (body: Reply['body']): Reply['body'] => ({
    async *[Symbol.asyncIterator]() {
      const tap = new ReceiptTap()
      try {
        for await (const chunk of body) {
          if (!booked) note(tap.push(chunk))
          yield chunk
        }
        if (!booked) note(tap.end() ?? decodeReceipt((name) => trailers?.[name]))
      } finally {
        await booked
      }
    },
    destroy: (error) => body.destroy(error),
  })
  const { redactDecoded } = reply
  return {
    ...reply,
    body: watched(reply.body),
    redactDecoded: (body) => watched(redactDecoded?.(body) ?? body),
  }
}
