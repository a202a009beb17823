/** The receipt of a payment, in whichever header or body a seller puts it. */
import { decodeBase58 } from '../solana/base58.ts'
import { SIGNATURE_BYTES } from '../solana/transaction.ts'
import { HEADERS } from './payment-headers.ts'
import { isRecord, readBodyJson, readHeaderJson } from './wire-json.ts'
import { MAX_CHALLENGE_BYTES } from './x402.ts'

/** What the seller says happened to a payment. A hint unless `success` is true (rule 4). */
export interface Receipt {
  readonly success: boolean
  /** Transaction hash in lower-case hex, or on Solana the first signature in base58, when the receipt carries a well-formed one. */
  readonly transaction: string | undefined
  readonly payer: string | undefined
  readonly network: string | undefined
  /** `upto`: the amount taken, as received. */
  readonly amount: unknown
  readonly errorReason: string | undefined
}

/**
 * Decodes PAYMENT-RESPONSE, X-PAYMENT-RESPONSE and MPP's Payment-Receipt: of several receipts the one that says paid, else the first
 * that can be read. Junk is as if there were none.
 */
export function decodeReceipt(header: (name: string) => string | undefined): Receipt | undefined {
  const receipts = [HEADERS.response, HEADERS.responseV1].flatMap((name) => {
    const value = header(name)
    if (value === undefined || value.length > MAX_CHALLENGE_BYTES) return []
    return readHeaderJson(value).flatMap((json) => readReceipt(json) ?? [])
  })
  return preferred([...receipts, ...mppReceipts(header(HEADERS.responseMpp))])
}

/** MPP's receipt, which is only ever about a success; its reference is the transaction. */
function mppReceipts(value: string | undefined): Receipt[] {
  if (value === undefined || value.length > MAX_CHALLENGE_BYTES) return []
  return readHeaderJson(value).flatMap((json) => {
    if (!isRecord(json) || json['status'] !== 'success') return []
    const { reference } = json as { readonly reference?: unknown }
    const transaction = typeof reference === 'string' ? transactionId(reference.slice(0, 200)) : undefined
    const nothing = { payer: undefined, network: undefined, amount: undefined, errorReason: undefined }
    return [{ success: true, transaction, ...nothing }]
  })
}

/**
 * Members under which sellers put a receipt into a body, and the MCP and A2A transports of x402 (`_meta["x402/payment-response"]`,
 * `metadata["x402.payment.receipts"]`), without case and separators.
 */
const PLACES: ReadonlySet<string> = new Set([
  'paymentresponse',
  'xpaymentresponse',
  'x402paymentresponse',
  'paymentreceipt',
  'x402paymentreceipts',
  'settlement',
  'settlementresponse',
  'settleresponse',
  'receipt',
  'receipts',
  'payment',
  'x402',
])

/** Members that may hold such a member. */
const CONTAINERS: ReadonlySet<string> = new Set([
  'meta',
  'metadata',
  'payment',
  'x402',
  'result',
  'extensions',
])
const MAX_DEPTH = 2

/**
 * The receipt in the body of a failure. An answer may well have a member `success` of its own: only one that names a
 * transaction, or says why a payment failed, is a receipt.
 */
export function receiptInBody(body: Uint8Array): Receipt | undefined {
  const receipts = receiptsIn(readBodyJson(body)).map(({ receipt }) => receipt)
  return preferred(
    receipts.filter(
      ({ success, transaction, errorReason }) =>
        transaction !== undefined || (!success && errorReason !== undefined),
    ),
  )
}

/**
 * The receipt in an answer that was delivered. Paid services may themselves be about transactions: what stands under no name
 * of a receipt must also say whose payment, or on which network.
 */
export function receiptInAnswer(json: unknown): Receipt | undefined {
  return receiptsIn(json).find(
    ({ isNamed, receipt: { success, transaction, payer, network } }) =>
      success && transaction !== undefined && (isNamed || payer !== undefined || network !== undefined),
  )?.receipt
}

interface Found {
  readonly receipt: Receipt
  /** Whether it stands under a name of a receipt. */
  readonly isNamed: boolean
}

function receiptsIn(json: unknown, isNamed = false, depth = 0): Found[] {
  if (!isRecord(json)) return []
  const own = readReceipt(json)
  const found = own ? [{ receipt: own, isNamed }] : []
  if (depth > MAX_DEPTH) return found
  for (const [key, value] of Object.entries(json)) {
    const name = key.toLowerCase().replace(/[^a-z0-9]/g, '')
    if (PLACES.has(name)) {
      const values = Array.isArray(value) ? (value as readonly unknown[]) : [value]
      const read = values.flatMap((one) => (typeof one === 'string' ? readHeaderJson(one) : [one]))
      found.push(...read.flatMap((one) => receiptsIn(one, true, depth + 1)))
    } else if (CONTAINERS.has(name)) {
      found.push(...receiptsIn(value, false, depth + 1))
    }
  }
  return found
}

function preferred(receipts: readonly Receipt[]): Receipt | undefined {
  return receipts.find(({ success }) => success) ?? receipts[0]
}

function readReceipt(json: unknown): Receipt | undefined {
  if (!isRecord(json) || typeof json['success'] !== 'boolean') return undefined
  const text = (...keys: readonly string[]): string | undefined => {
    const found = keys.map((key) => json[key]).find((value) => typeof value === 'string')
    return typeof found === 'string' ? found.slice(0, 200) : undefined
  }
  const transaction = text('transaction', 'transactionHash', 'transaction_hash', 'txHash', 'tx_hash')
  return {
    success: json['success'],
    transaction: transaction === undefined ? undefined : transactionId(transaction),
    payer: text('payer'),
    network: text('network'),
    amount: json['amount'],
    errorReason: text('errorReason', 'error_reason'),
  }
}

/** A transaction as it is compared and stored; `undefined` for a text that names none. */
function transactionId(text: string): string | undefined {
  if (/^0x[0-9a-fA-F]{64}$/.test(text)) return text.toLowerCase()
  return decodeBase58(text)?.length === SIGNATURE_BYTES ? text : undefined
}
