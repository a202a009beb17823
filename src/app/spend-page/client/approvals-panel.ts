/// <reference lib="dom" />
/** The calls that wait for a person: hidden while there are none. */
import { decide, type ApprovalView } from './data.ts'
import { find, make, say } from './dom.ts'
import { longTime, shortTime, usd } from './format.ts'

/** Shows them with a button for each decision. @param complain shows what went wrong @param reload after a decision */
export function showApprovals(
  approvals: readonly ApprovalView[],
  complain: (error: unknown) => void,
  reload: () => void,
): void {
  find('approvals-card', HTMLElement).hidden = approvals.length === 0
  const list = find('approvals', HTMLElement)
  const shown = approvals.map(({ approval }) => approval).join(' ')
  // A button under the finger must not be replaced.
  if (list.dataset['shown'] === shown) return
  list.dataset['shown'] = shown
  say('announce', approvals.length === 0 ? '' : `${approvals.length} calls wait for approval`)
  list.replaceChildren(...approvals.map((one) => approvalNode(one, complain, reload)))
}

function approvalNode(
  one: ApprovalView,
  complain: (error: unknown) => void,
  reload: () => void,
): HTMLElement {
  const button = (name: string, decision: 'approved' | 'refused'): HTMLButtonElement => {
    const node = make(
      'button',
      { type: 'button' },
      name,
      make('span', { class: 'hidden' }, ` ${one.approval}`),
    )
    node.addEventListener('click', () => {
      node.disabled = true
      decide(one.approval, decision).then(reload, (error: unknown) => {
        node.disabled = false
        complain(error)
        reload()
      })
    })
    return node
  }
  return make(
    'article',
    { class: 'refusal' },
    make(
      'p',
      { class: 'refusal-head' },
      make('strong', {}, `up to ${one.max_usd === null ? (one.pays ?? '') : usd(one.max_usd)}`),
      make('span', {}, `${one.caller} asks for ${one.model}`),
      make('span', { class: 'soft' }, one.seller),
    ),
    make(
      'p',
      { class: 'soft' },
      `${one.approval}, refused by itself at `,
      make('time', { datetime: one.until, title: longTime(one.until) }, shortTime(one.until)),
    ),
    make('p', { class: 'card-actions' }, button('Approve', 'approved'), ' ', button('Refuse', 'refused')),
  )
}
