/** The narrow contract of a user of the ledger: it names what it calls, so that a reader knows and a test can stand in. */
import type { Store } from '../store/store.ts'
import type { Ledger } from './ledger.ts'

/** The named members of the ledger, and the named methods and contracts of its store. */
export type LedgerUse<Member extends keyof Ledger, Read extends keyof Store = never> = Pick<
  Ledger,
  Exclude<Member, 'store'>
> & {
  readonly store: Pick<Store, Read>
}
