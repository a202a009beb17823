/**
 * The overshoot campaign: `node test/campaigns/overshoot.ts --calls 5000 --clients 4 --gateways 1|3 [--fits 1000]
 * [--store postgres://…]`; the store must be empty. Loopback only;
 * ends by itself; exit code 1 when a budget was overrun or a call that fits did not pass. The seller is a stand-in that
 * settles nothing: the chain is not the subject here, the gateways and the ledger are the real ones.
 */
import { parseArgs } from 'node:util'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { runOvershoot, type OvershootPlan, type OvershootResult } from './overshoot/campaign.ts'

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '5000' },
    clients: { type: 'string', default: '4' },
    gateways: { type: 'string', default: '1' },
    fits: { type: 'string', default: '1000' },
    store: { type: 'string' },
  },
})
const plan: OvershootPlan = {
  calls: Number(values.calls),
  clients: Number(values.clients),
  gateways: Number(values.gateways),
  fits: Number(values.fits),
  store: values.store,
}
const result = await runOvershoot(plan)
process.stdout.write(report(plan, result))
process.exitCode = isRight(plan, result) ? 0 : 1

function isRight({ calls, fits }: OvershootPlan, found: OvershootResult): boolean {
  const { paid, stopped, settled, open, payments, repeatedNonces, overshoot, auditsWhole } = found
  return (
    [paid, settled, payments].every((count) => count === fits) &&
    paid + stopped === calls &&
    open === 0 &&
    repeatedNonces === 0 &&
    overshoot === 0n &&
    auditsWhole
  )
}

function report({ calls, clients, gateways, fits }: OvershootPlan, found: OvershootResult): string {
  const figures: readonly (readonly [string, string])[] = [
    [
      'calls',
      `${calls} from ${clients} processes, through ${gateways} ${gateways === 1 ? 'gateway' : 'gateways'}`,
    ],
    ['fit', String(fits)],
    ['passed', String(found.paid)],
    ['stopped by a budget', String(found.stopped)],
    ['other answers', found.other.join(', ') || 'none'],
    ['answered 503, tried again', String(found.retried)],
    ['settled in the ledger', `${found.settled}, and ${found.open} open`],
    ['payments at the seller', `${found.payments}, ${found.repeatedNonces} with a nonce seen before`],
    ['overshoot', `${found.overshoot} atoms`],
    ['audit files', found.auditsWhole ? 'whole' : 'BROKEN'],
    ['seconds', found.seconds.toFixed(1)],
  ]
  const rows = found.budgets.map(({ budget, subject, limit, counted }) => [
    budget,
    subject,
    String(limit),
    String(counted),
  ])
  return [
    ...figures.map(([name, value]) => `${name.padEnd(26)} ${value}\n`),
    '\n',
    renderTable(['BUDGET', 'SUBJECT', 'LIMIT (ATOMS)', 'COUNTED (ATOMS)'], rows),
  ].join('')
}
