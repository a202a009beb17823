/** What comes of an authorization that the store takes, or does not take. The store is a stand-in: real ones are tested in test/store. */
import { describe, expect, test } from 'vitest'
import { NonceUsedError, recordAuthorization } from '../../src/io/ledger/record-authorization.ts'
import type { AuthorizeRefusal, ChargeStore } from '../../src/io/store/contracts/charges.ts'
import { authorizedCharge, heldCharge, takenOverCharge } from '../../src/io/store/rules/charge-rules.ts'
import { NOW, signed, terms } from '../store/samples.ts'

const charge = heldCharge(terms(1))
const recorded = authorizedCharge(charge, signed(1), NOW)
const before = authorizedCharge(heldCharge(terms(2)), signed(1), NOW)
const handOver = { before, now: takenOverCharge(before, NOW) }

type Result = AuthorizeRefusal | 'recorded'

async function record(authorize: Result, takeOver: Result, audit: 'writes' | 'fails' = 'writes') {
  const calls: string[] = []
  const store: Pick<ChargeStore, 'authorize' | 'takeOver'> = {
    async authorize() {
      calls.push('authorize')
      return authorize === 'recorded' ? recorded : authorize
    },
    async takeOver() {
      calls.push('take over')
      return takeOver === 'recorded' ? { charge: recorded, handOver } : takeOver
    },
  }
  const outcome = await recordAuthorization(store, {
    charge,
    record: signed(1),
    at: NOW,
    async checkAudit() {
      calls.push('audit')
      if (audit === 'fails') throw new Error('no audit')
    },
  }).catch((error: unknown) => error)
  return { outcome, calls }
}

describe('an authorization', () => {
  test('rule 3: that is new is recorded once', async () => {
    const { outcome, calls } = await record('recorded', 'nonce_used')
    expect(outcome).toEqual({ charge: recorded, handOver: undefined })
    expect(calls).toEqual(['authorize'])
  })

  test('rule 9: of a voucher that was handed over counts for this charge, once the audit file can tell it', async () => {
    const { outcome, calls } = await record('nonce_used', 'recorded')
    expect(outcome).toEqual({ charge: recorded, handOver })
    expect(calls).toEqual(['authorize', 'audit', 'take over'])
  })

  test('rule 9: is not taken over while the audit file cannot be written', async () => {
    const { outcome, calls } = await record('nonce_used', 'recorded', 'fails')
    expect(outcome).toMatchObject({ message: 'no audit' })
    expect(calls).toEqual(['authorize', 'audit'])
  })

  test('rule 5: that was recorded before is refused: it may have been sent then', async () => {
    const { outcome } = await record('nonce_used', 'nonce_used')
    expect(outcome).toBeInstanceOf(NonceUsedError)
    expect(outcome).toMatchObject({
      code: 'signer_unavailable',
      details: { refusal: 'nonce_used' },
      message: expect.stringContaining('already recorded') as unknown,
    })
  })

  test.each(['lease_expired', 'not_held'] as const)(
    'rule 2: of a reservation that is gone (%s) is refused',
    async (why) => {
      for (const { outcome, calls } of [await record(why, 'recorded'), await record('nonce_used', why)]) {
        expect(outcome).not.toBeInstanceOf(NonceUsedError)
        expect(outcome).toMatchObject({ code: 'reservation_lost', details: { refusal: why } })
        if (!calls.includes('audit')) expect(calls).toEqual(['authorize'])
      }
    },
  )
})
