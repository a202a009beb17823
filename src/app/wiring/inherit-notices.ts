/** Takes over what processes left that ended: calls that waited for approval, and messages that were not delivered. */
import type { Ledger } from '../../io/ledger/ledger.ts'
import { NOTICE_KINDS } from '../../io/store/contracts/notices.ts'
import type { InstanceStore } from '../../io/store/contracts/instances.ts'
import type { NoticeStore } from '../../io/store/contracts/notices.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { Notifier } from '../notify/notifier.ts'

/** What {@link inheritNotices} works with. */
export interface InheritContext {
  readonly ledger: Pick<Ledger, 'instance'> & {
    readonly store: Pick<InstanceStore, 'instances'> & { readonly notices: NoticeStore }
  }
  readonly approvals: Pick<Approvals, 'lost'>
  readonly notifier: Pick<Notifier, 'resume'>
}

/**
 * Call it after the dead processes were retired (rule 10): what belongs to none that is registered is taken over, each by one process.
 * @throws TollwayError `store_unavailable`
 */
export async function inheritNotices({ ledger, approvals, notifier }: InheritContext): Promise<void> {
  const { notices } = ledger.store
  const open = await Promise.all(NOTICE_KINDS.map((kind) => notices.list({ kind, state: 'open' })))
  const owners = new Set(open.flat().map(({ instance }) => instance))
  owners.delete(ledger.instance)
  if (owners.size === 0) return
  for (const { id } of await ledger.store.instances()) owners.delete(id)
  for (const owner of owners) {
    for (const notice of await notices.adopt(owner, ledger.instance)) {
      await (notice.kind === 'approval' ? approvals.lost(notice) : notifier.resume(notice))
    }
  }
}
