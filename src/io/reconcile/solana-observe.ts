/** One look at a Solana chain for one charge: gathers what `decideSolana` judges, and believes nothing that does not fit. */
import type { Charge } from '../../core/charge/charge.ts'
import type { SolanaObservation } from '../../core/charge/reconcile-solana.ts'
import { ChainError } from '../chain/chain.ts'
import type { SolanaReader } from '../chain/solana/solana-reader.ts'
import { checkGenesis, type TrustedSolanaHead } from '../chain/solana/solana-trust.ts'
import type { Carried, SolanaLook, SolanaSearch } from './solana-search.ts'

/** What an observation works with. */
export interface SolanaView {
  readonly reader: SolanaReader
  readonly search: SolanaSearch
  readonly look: SolanaLook
  /** The final block everything is read at. */
  readonly head: TrustedSolanaHead
  /** Our own clock when it was read, unix seconds. */
  readonly now: number
}

/** What the chain says about a charge. Never throws: what cannot be read is `no_answer`. */
export async function observeSolana(view: SolanaView, charge: Charge): Promise<SolanaObservation> {
  const proof = charge.authorization?.solana
  if (!proof) return { kind: 'no_answer', reason: 'nothing_signed' }
  const { reader, look, head, now } = view
  if (head.slot < proof.slot) return { kind: 'no_answer', reason: 'not_final_yet' }
  const reading = {
    kind: 'reading' as const,
    block: { number: BigInt(head.slot), timestamp: head.time, hash: '' },
    height: head.height,
    now,
  }
  try {
    const named = await claimed(view, charge)
    if (named) return { ...reading, use: { transaction: named } }
    const found = await look.find(proof.account, proof.signature, proof.memo, proof.slot)
    if (found && isUse(found.carried, charge)) {
      return { ...reading, use: { transaction: found.transaction } }
    }
    // It may come to a release: the node must still have every block that could hold it, and be of this chain still.
    if (head.height > proof.lastValidHeight) {
      if ((await reader.firstSlot()) > proof.slot) throw new ChainError('history_pruned')
      await checkGenesis(reader)
    }
    return { ...reading, use: undefined }
  } catch (error) {
    if (error instanceof ChainError) return { kind: 'no_answer', reason: error.reason }
    throw error
  }
}

/** The transaction that the seller named, when it is ours: a receipt's word is looked up and never taken. */
async function claimed({ search, head }: SolanaView, charge: Charge): Promise<string | undefined> {
  if (charge.transaction === undefined) return undefined
  const carried = await search.carried(charge.transaction, head.slot)
  return carried && carried.slot <= head.slot && isUse(carried, charge) ? charge.transaction : undefined
}

/** Whether a transaction took the payment: it has our signature over exactly the message that was signed, and did not fail. */
function isUse({ signatures, message, failed }: Carried, { authorization }: Charge): boolean {
  const own = authorization?.solana?.signature
  return !failed && own !== undefined && signatures.includes(own) && message === authorization?.nonce
}
