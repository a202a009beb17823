import { expect, test } from 'vitest'
import { chargeJson } from '../../src/app/spend-page/charge-json.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { signed, terms } from '../store/samples.ts'

const settled: Charge = {
  ...terms(1, { amount: 1_000_000n, microUsd: 1_000_000n }),
  state: 'settled',
  proof: 'receipt',
  authorization: signed(1, { method: 'permit2', scheme: 'upto' }),
  transaction: undefined,
  reason: 'receipt',
  updatedAt: 0,
}
const told = (changes: Partial<Charge>) => chargeJson({ ...settled, ...changes }, () => undefined)

test('a charge counts what the chain proved of it, with what was signed beside', () => {
  expect(told({})).toMatchObject({
    amount: '1',
    amount_atomic: '1000000',
    charged: null,
    charged_atomic: null,
    usd: '1',
    signed_usd: '1',
  })
  expect(told({ proof: 'chain', charged: 333_333n })).toMatchObject({
    amount: '1',
    amount_atomic: '1000000',
    charged: '0.333333',
    charged_atomic: '333333',
    usd: '0.333333',
    signed_usd: '1',
  })
  expect(told({ proof: 'chain', charged: 0n, microUsd: undefined })).toMatchObject({
    charged: '0',
    charged_atomic: '0',
    usd: null,
    signed_usd: null,
  })
})
