/** What the books do while store or audit file refuse, and afterwards. */
import { describe, expect, test } from 'vitest'
import type { Charge } from '../../src/core/charge/charge.ts'
import type { Ledger } from '../../src/io/ledger/ledger.ts'
import { signed } from '../store/samples.ts'
import { diskFull, noSpace, openFragile, RULES, wanted } from './kit.ts'

const UNAVAILABLE = { name: 'TollwayError', status: 503 }
let nonces = 0

async function authorized(ledger: Ledger): Promise<Charge> {
  nonces += 1
  return await ledger.authorize(await ledger.reserve(wanted(), RULES, true), signed(nonces))
}

const spent = (events: readonly { type: string }[]): number =>
  events.filter((event) => event.type === 'charge' && 'charge' in event).filter(isSettled).length

function isSettled(event: unknown): boolean {
  return (event as { charge: Charge }).charge.state === 'settled'
}

describe('when the store refuses a move that has already happened', () => {
  test('returns the charge as it will be and records the move once, when the store works again', async () => {
    const { ledger, audit, real, replaced, events } = await openFragile()
    const charge = await authorized(ledger)
    replaced.move = async () => {
      throw diskFull()
    }
    const settled = await ledger.settle(charge, 'receipt', `0x${'ab'.repeat(32)}`)
    expect(settled).toMatchObject({ state: 'settled', proof: 'receipt', transaction: `0x${'ab'.repeat(32)}` })
    expect(await real.charge(charge.id)).toMatchObject({ state: 'authorized' })
    expect(audit.types(charge.id)).toEqual(['charge.held', 'charge.authorized'])

    delete replaced.move
    await Promise.all([ledger.beat(), ledger.beat(), ledger.ping()])
    expect(await real.charge(charge.id)).toMatchObject({ state: 'settled', proof: 'receipt' })
    expect(audit.types(charge.id)).toEqual(['charge.held', 'charge.authorized', 'charge.settled'])
    expect(spent(events)).toBe(1)
  })

  test('rule 9: asks no seller until the store works again', async () => {
    const { ledger, replaced } = await openFragile()
    await ledger.refuseWhileFailing()
    const refuse = async (): Promise<never> => {
      throw diskFull()
    }
    Object.assign(replaced, { reserve: refuse, ping: refuse })
    await expect(ledger.reserve(wanted(), RULES, true)).rejects.toMatchObject(UNAVAILABLE)
    await expect(ledger.refuseWhileFailing()).rejects.toMatchObject(UNAVAILABLE)
    delete replaced.ping
    delete replaced.reserve
    await ledger.refuseWhileFailing()
    expect(await ledger.reserve(wanted(), RULES, true)).toMatchObject({ state: 'held' })
  })

  test('shares one attempt among concurrent requests', async () => {
    const { ledger, replaced, counts } = await openFragile()
    const gate = Promise.withResolvers<void>()
    replaced.reserve = async () => {
      throw diskFull()
    }
    await ledger.reserve(wanted(), RULES, true).catch(() => undefined)
    replaced.ping = async () => await gate.promise
    const waiting = Array.from({ length: 50 }, () => ledger.refuseWhileFailing())
    gate.resolve()
    await Promise.all(waiting)
    expect(counts.get('ping')).toBe(1)
  })

  test('frees a hold whose release failed before the next reservation', async () => {
    const { ledger, replaced } = await openFragile()
    const rules = [{ ...RULES[0], limit: 1000n }]
    const held = await ledger.reserve(wanted(), rules, true)
    replaced.move = async () => {
      throw diskFull()
    }
    expect(await ledger.release(held, 'client_left')).toMatchObject({ state: 'released' })
    await expect(ledger.reserve(wanted(), rules, true)).rejects.toMatchObject(UNAVAILABLE)
    delete replaced.move
    expect(await ledger.reserve(wanted(), rules, true)).toMatchObject({ state: 'held' })
  })

  test('reports a move that the store never takes, without blocking the others or the heartbeat', async () => {
    const { ledger, real, replaced, counts } = await openFragile()
    const [bad, good] = [await authorized(ledger), await authorized(ledger)]
    replaced.move = async () => {
      throw diskFull()
    }
    await ledger.settle(bad, 'assumed', undefined)
    await ledger.settle(good, 'assumed', undefined)
    replaced.move = async (id, move) => {
      if (id === bad.id) throw new Error('the sums are missing')
      return await real.move(id, move)
    }
    await expect(ledger.beat()).rejects.toThrow('the sums are missing')
    expect(await real.charge(good.id)).toMatchObject({ state: 'settled' })
    expect(counts.get('heartbeat')).toBe(1)
    await expect(ledger.ping()).rejects.toThrow('the sums are missing')
  })

  test('never turns a sent charge into an error, whatever the store throws', async () => {
    const { ledger, replaced } = await openFragile()
    const charge = await authorized(ledger)
    for (const thrown of [new Error('there is no charge'), new TypeError('x'), 'text']) {
      replaced.move = async () => {
        throw thrown
      }
      expect(await ledger.uncertain(charge, 'reset')).toMatchObject({ state: 'uncertain' })
      expect(await ledger.settle(charge, 'receipt', undefined)).toMatchObject({ state: 'settled' })
    }
  })

  test('records pending moves on closing instead of making them uncertain', async () => {
    const { ledger, audit, real, replaced } = await openFragile()
    const charge = await authorized(ledger)
    replaced.move = async () => {
      throw diskFull()
    }
    replaced.close = async () => undefined
    await ledger.settle(charge, 'receipt', undefined)
    delete replaced.move
    await ledger.close()
    expect(await real.charge(charge.id)).toMatchObject({ state: 'settled', proof: 'receipt' })
    expect(audit.types().slice(-2)).toEqual(['charge.settled', 'instance.closed'])
  })

  test('rule 4: records a move that the store never took in the audit file, and counts it as uncertain', async () => {
    const { ledger, audit, real, replaced } = await openFragile()
    const charge = await authorized(ledger)
    replaced.move = async () => {
      throw diskFull()
    }
    replaced.close = async () => undefined
    await ledger.settle(charge, 'receipt', `0x${'cd'.repeat(32)}`)
    await ledger.close()
    expect(await real.charge(charge.id)).toMatchObject({ state: 'uncertain', reason: 'instance_closed' })
    expect(audit.written.find(({ type }) => type === 'charge.unbooked')?.fields).toMatchObject({
      charge: charge.id,
      state: 'settled',
      proof: 'receipt',
      transaction: `0x${'cd'.repeat(32)}`,
    })
  })

  test('closes store and audit file although both fail', async () => {
    const { ledger, audit, replaced } = await openFragile()
    const refuse = async (): Promise<never> => {
      throw diskFull()
    }
    Object.assign(replaced, { retire: refuse, close: refuse })
    await expect(ledger.close()).rejects.toMatchObject(UNAVAILABLE)
    expect(audit.closed).toBe(true)
  })
})

describe('when another process moved the charge first', () => {
  test('settles a charge that it made uncertain because this process appeared dead', async () => {
    const { ledger, audit, real } = await openFragile()
    const charge = await authorized(ledger)
    await real.retire('ins_one', 1, 'instance_dead')
    expect(await ledger.settle(charge, 'receipt', undefined)).toMatchObject({ state: 'settled' })
    expect(audit.types(charge.id).at(-1)).toBe('charge.settled')
  })

  test('keeps an uncertain charge uncertain without an error, and closes it in the audit file', async () => {
    const { ledger, audit, real } = await openFragile()
    const charge = await authorized(ledger)
    await real.retire('ins_one', 1, 'instance_dead')
    expect(await ledger.uncertain(charge, 'reset')).toMatchObject({ state: 'uncertain' })
    expect(audit.written.at(-1)).toMatchObject({
      type: 'charge.uncertain',
      fields: { charge: charge.id, overtaken: 'uncertain', overtaken_reason: 'reset' },
    })
    await ledger.beat()
  })

  test('rule 4: flags a receipt for a charge that the chain proved unspent, and keeps it released', async () => {
    const { ledger, real, events } = await openFragile()
    const charge = await authorized(ledger)
    await real.move(charge.id, { to: 'uncertain', at: 1, reason: 'instance_dead' })
    await real.move(charge.id, { to: 'released', at: 2, reason: 'chain_unused' })
    expect(await ledger.settle(charge, 'receipt', undefined)).toMatchObject({ state: 'settled' })
    expect(await real.charge(charge.id)).toMatchObject({ state: 'released' })
    expect(await real.flags({ charge: charge.id })).toMatchObject([{ flag: 'receipt_unproven' }])
    expect(events.filter(({ type }) => type === 'flagged')).toHaveLength(1)
    expect(spent(events)).toBe(0)
    await ledger.ping()
  })

  test('drops a pending move when another process moved the charge meanwhile', async () => {
    const { ledger, real, replaced } = await openFragile()
    const charge = await authorized(ledger)
    replaced.move = async () => {
      throw diskFull()
    }
    await ledger.uncertain(charge, 'reset')
    await real.retire('ins_one', 1, 'instance_dead')
    delete replaced.move
    await ledger.beat()
    await ledger.ping()
    expect(await real.charge(charge.id)).toMatchObject({ state: 'uncertain', reason: 'instance_dead' })
  })
})

describe('when the audit file refuses', () => {
  test('rule 9: reserves and authorizes nothing, frees the hold, and writes the records in order later', async () => {
    const { ledger, audit, real } = await openFragile()
    audit.outage = noSpace()
    await expect(ledger.reserve(wanted(), RULES, true)).rejects.toMatchObject({ code: 'audit_unavailable' })
    const [released] = await real.charges()
    expect(released).toMatchObject({ state: 'released', reason: 'audit_unavailable' })
    expect(await real.sum('held')).toMatchObject({ count: 0 })
    await expect(ledger.refuseWhileFailing()).rejects.toMatchObject({ code: 'audit_unavailable' })
    await expect(ledger.ping()).rejects.toMatchObject({ code: 'audit_unavailable' })
    audit.outage = undefined
    const charge = await authorized(ledger)
    expect(audit.types()).toEqual(['instance.started', 'charge.released', 'charge.held', 'charge.authorized'])
    expect(await real.charge(charge.id)).toMatchObject({ state: 'authorized' })
  })

  test('writes what happened meanwhile afterwards, each charge in the order of its moves', async () => {
    const { ledger, audit } = await openFragile()
    const [one, two] = [await authorized(ledger), await authorized(ledger)]
    audit.outage = noSpace()
    await Promise.all([ledger.uncertain(one, 'reset'), ledger.settle(two, 'receipt', undefined)])
    await ledger.settle(one, 'receipt', undefined)
    audit.outage = undefined
    await ledger.beat()
    expect(audit.types(one.id).slice(2)).toEqual(['charge.uncertain', 'charge.settled'])
    expect(audit.types(two.id).slice(2)).toEqual(['charge.settled'])
  })

  test('rule 3: never sends a signature whose record is not durable, and releases the charge', async () => {
    const { ledger, audit, real } = await openFragile()
    const held = await ledger.reserve(wanted(), RULES, true)
    audit.next.push(noSpace())
    await expect(ledger.authorize(held, signed(901))).rejects.toMatchObject({ code: 'audit_unavailable' })
    await ledger.release(held, 'audit_unavailable')
    expect(await real.charge(held.id)).toMatchObject({ state: 'released' })
  })
})

test('ignores an observer that throws', async () => {
  const { ledger, events } = await openFragile()
  events.push = () => {
    throw new Error('a broken dashboard')
  }
  const charge = await authorized(ledger)
  expect(await ledger.settle(charge, 'receipt', undefined)).toMatchObject({ state: 'settled' })
})
