/** Reads from the chain what `decide` needs to judge one charge, and rejects answers that contradict each other. */
import type { AuthorizationRecord, Charge } from '../../core/charge/charge.ts'
import { PERMIT2_ADDRESS } from '../../core/evm-contracts.ts'
import type { ChainBlock, ChainTransfer, Observation, Reading } from '../../core/charge/reconcile.ts'
import type { BlockSearch } from './chain-blocks.ts'
import { ChainError, TOPICS, type ChainLog, type ChainReader } from '../chain/chain.ts'

/** How far this machine's clock may be ahead of the chain's, seconds. The search for events starts this much earlier. */
const CLOCK_SKEW_SECONDS = 3600

/**
 * How long before its charge an authorization may have been used, seconds. A voucher that another program also has may have been
 * signed up to a month before Tollway sent it.
 */
const EARLIER_SECONDS = 31 * 86_400

/**
 * How many blocks are searched for events that would contradict "unused". The proof is the state at a final block past the
 * validity; searching the million blocks of a voucher valid for a month would add nothing.
 */
const CONTRADICTION_BLOCKS = 40_000n

/** What an observation works with. */
export interface ChainView {
  readonly reader: ChainReader
  readonly search: BlockSearch
  /** The final block that everything is read at. */
  readonly head: ChainBlock
  /** The chain id that the node returned when the block was read. */
  readonly chainId: number
}

interface Signed extends ChainView {
  readonly charge: Charge
  readonly authorization: AuthorizationRecord
}

type Use = NonNullable<Reading['use']>

/** What the chain says about a charge at `view.head`. A node that does not answer gives `no_answer`. */
export async function observe(view: ChainView, charge: Charge): Promise<Observation> {
  const { authorization } = charge
  const { reader, head } = view
  if (!authorization) return { kind: 'no_answer', reason: 'nothing_signed' }
  // An authorization that was signed later cannot be in this block. A wrong local clock only delays the check.
  if (head.timestamp < Math.floor(charge.reservedAt / 1000))
    return { kind: 'no_answer', reason: 'not_final_yet' }
  try {
    const signed = { ...view, charge, authorization }
    const events = authorization.method === 'permit2' ? await permit2(signed) : await eip3009(signed)
    if (events.use) return { kind: 'reading', chainId: view.chainId, block: head, ...events }
    // This may lead to a release: check that the answers still belong to this chain and this block (rule 4).
    await confirm(view)
    return { kind: 'reading', chainId: await reader.chainId(), block: head, ...events }
  } catch (error) {
    if (error instanceof ChainError) return { kind: 'no_answer', reason: error.reason }
    throw error
  }
}

/** Checks that the block did not change meanwhile: a load balancer may have switched to another node. */
async function confirm({ reader, head }: ChainView): Promise<void> {
  const again = await reader.block(head.number)
  if (again.hash !== head.hash || again.timestamp !== head.timestamp) throw new ChainError('block_changed')
}

type Events = Pick<Reading, 'spent' | 'use' | 'cancellation'>

const NOTHING_YET: Events = { spent: false, use: undefined, cancellation: undefined }

async function eip3009(signed: Signed): Promise<Events> {
  const { reader, head, charge, authorization } = signed
  const { from, nonce, validBefore } = authorization
  const spent = await reader.authorizationState(charge.asset, from, nonce, head.number)
  if (!spent && head.timestamp <= validBefore) return NOTHING_YET
  const named =
    spent && charge.transaction !== undefined ? await useIn(signed, charge.transaction) : undefined
  if (named) return { spent, use: named, cancellation: undefined }
  const query = {
    address: charge.asset,
    topics: [[TOPICS.used, TOPICS.canceled], addressTopic(from), nonce],
  }
  const { start, end } = await window(signed, spent)
  const one = (logs: readonly ChainLog[]): boolean => logs.length > 0
  const logs = await signed.search.logs({ ...query, from: start, to: end }, one)
  // It can be used only within its validity, but cancelled at any time.
  if (spent && logs.length === 0) {
    logs.push(...(await signed.search.logs({ ...query, from: end + 1n, to: head.number }, one)))
  }
  const early = spent && logs.length === 0
  if (early) logs.push(...(await signed.search.logs({ ...query, ...(await earlier(signed, start)) }, one)))
  const used = logs.find(({ topics }) => topics[0] === TOPICS.used)
  const canceled = logs.find(({ topics }) => topics[0] === TOPICS.canceled)
  const found = used && (await useIn(signed, used.transaction))
  if (used && !found) throw new ChainError('receipt_without_event')
  const use = found && { ...found, early }
  return { spent, use, cancellation: canceled && { transaction: canceled.transaction } }
}

/** How a transaction used the authorization; `undefined` when it did not. */
async function useIn(
  { reader, head, charge, authorization }: Signed,
  transaction: string,
): Promise<Use | undefined> {
  const receipt = await reader.receipt(transaction)
  if (!receipt?.succeeded || receipt.blockNumber > head.number) return undefined
  const { from, nonce } = authorization
  const own = receipt.logs.filter((log) => log.address === charge.asset)
  const isUse = ({ topics }: ChainLog): boolean =>
    topics[0] === TOPICS.used && topics[1] === addressTopic(from) && topics[2] === nonce
  if (!own.some(isUse)) return undefined
  return { transaction: receipt.transaction, transfers: own.flatMap((log) => transferBy(log, from)) }
}

/**
 * Permit2 emits no event for a use. The transaction is the one whose call data contains the nonce and that moved what was signed.
 * A nonce whose bit is set without a use was invalidated.
 */
async function permit2(signed: Signed): Promise<Events> {
  const { reader, head, charge, authorization, search } = signed
  const { from, nonce, validBefore } = authorization
  const value = BigInt(nonce)
  const word = value >> 8n
  const bit = 1n << (value & 0xffn)
  const spent = ((await reader.nonceBitmap(from, word, head.number)) & bit) !== 0n
  if (!spent && head.timestamp <= validBefore) return NOTHING_YET
  const { start, end } = await window(signed, spent)
  const transfers = {
    address: charge.asset,
    topics: [TOPICS.transfer, addressTopic(from), addressTopic(charge.payTo)],
  }
  const moved = await search.logs({ ...transfers, from: start, to: end }, () => false)
  const fitting = moved.filter((log) => transferBy(log, from).some((transfer) => fits(transfer, signed)))
  const use = await useOf(signed, fitting)
  if (use) return { spent, use, cancellation: undefined }
  if (!spent) return { spent, use: undefined, cancellation: undefined }
  const isInvalidation = (log: ChainLog): boolean => invalidates(log, word, bit)
  const invalidations = await search.logs(
    {
      address: PERMIT2_ADDRESS,
      topics: [TOPICS.invalidated, addressTopic(from)],
      from: start,
      to: head.number,
    },
    (logs) => logs.some(isInvalidation),
  )
  const first = invalidations.find(isInvalidation)
  // Only the invalidation that set the bit cancels: Permit2 also accepts invalidations of used nonces.
  const sets =
    first !== undefined &&
    ((await reader.nonceBitmap(from, word, first.blockNumber - 1n)) & bit) === 0n &&
    !fitting.some(({ blockNumber }) => blockNumber === first.blockNumber)
  if (sets) return { spent, use: undefined, cancellation: { transaction: first.transaction } }
  const before = await search.logs({ ...transfers, ...(await earlier(signed, start)) }, () => false)
  const earlyUse = await useOf(
    signed,
    before.filter((log) => transferBy(log, from).some((transfer) => fits(transfer, signed))),
  )
  return { spent, use: earlyUse && { ...earlyUse, early: true }, cancellation: undefined }
}

/** Whether the authorization allows a transfer: for `upto`, any amount up to the signed one. */
function fits({ value }: ChainTransfer, { charge, authorization }: Signed): boolean {
  return authorization.scheme === 'upto' ? value <= charge.amount : value === charge.amount
}

/**
 * The transaction that used a Permit2 authorization: its call data contains the nonce. Of several, the one that moved the most
 * counts, so that a seller who puts the nonce into the call data of a smaller payment cannot lower the amount.
 */
async function useOf(signed: Signed, fitting: readonly ChainLog[]): Promise<Use | undefined> {
  const { reader, charge, authorization } = signed
  const digits = authorization.nonce.replace(/^0x/, '')
  let best: { readonly transaction: string; readonly value: bigint } | undefined
  for (const log of fitting) {
    const [transfer] = transferBy(log, authorization.from)
    if (!transfer || (best && transfer.value <= best.value)) continue
    if (!(await reader.input(log.transaction)).includes(digits)) continue
    best = { transaction: log.transaction, value: transfer.value }
    if (best.value === charge.amount) break
  }
  return best && { transaction: best.transaction, transfers: [{ to: charge.payTo, value: best.value }] }
}

/** The blocks in which the authorization may have been used; for an unspent one, only the last of them. */
async function window(
  { search, head, charge, authorization }: Signed,
  spent: boolean,
): Promise<{ start: bigint; end: bigint }> {
  const reserved = Math.floor(charge.reservedAt / 1000)
  const start = await search.before(reserved - CLOCK_SKEW_SECONDS, head)
  const end = await search.after(authorization.validBefore, head)
  const least = end - CONTRADICTION_BLOCKS
  return { start: spent || start > least ? start : least, end }
}

/** The blocks before `start` in which another holder of the authorization may have used it; none before it became valid. */
async function earlier(
  { search, head, charge, authorization }: Signed,
  start: bigint,
): Promise<{ from: bigint; to: bigint }> {
  const reserved = Math.floor(charge.reservedAt / 1000)
  const since = Math.max(authorization.validAfter, reserved - EARLIER_SECONDS)
  return { from: await search.before(since, head), to: start - 1n }
}

function transferBy(log: ChainLog, from: string): ChainTransfer[] {
  const [event, payer, payee] = log.topics
  if (event !== TOPICS.transfer || payer !== addressTopic(from) || payee === undefined) return []
  return /^0x[0-9a-f]{64}$/i.test(log.data) ? [{ to: `0x${payee.slice(-40)}`, value: BigInt(log.data) }] : []
}

/** Whether an `UnorderedNonceInvalidation` covers a nonce. Its data is the word and the mask. */
function invalidates({ data }: ChainLog, word: bigint, bit: bigint): boolean {
  if (!/^0x[0-9a-f]{128}$/i.test(data)) return false
  return BigInt(data.slice(0, 66)) === word && (BigInt(`0x${data.slice(66)}`) & bit) !== 0n
}

function addressTopic(address: string): string {
  return `0x${address.replace(/^0x/, '').padStart(64, '0')}`
}
