/** What finds a payment on Solana is kept with its charge, in the spelling that the chain knows. */
import { expect, test } from 'vitest'
import type { AuthorizationRecord } from '../../src/core/charge/charge.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { addressOf } from '../../src/core/solana/address.ts'
import { onEachStore } from './each-store.ts'
import { claim, NOW, terms } from './samples.ts'

const wallet = (n: number): string => addressOf(new Uint8Array(32).fill(n))
const SOLANA = {
  network: 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1',
  asset: '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU',
  payTo: wallet(1),
}

function record(n: number): AuthorizationRecord {
  return {
    from: wallet(2),
    nonce: `0x${n.toString(16).padStart(64, '0')}`,
    validAfter: Math.floor(NOW / 1000),
    validBefore: Math.floor(NOW / 1000) + 180,
    method: 'solana',
    solana: {
      signature: encodeBase58(new Uint8Array(64).fill(n)),
      memo: "it's the memo",
      blockhash: wallet(3),
      lastValidHeight: 350_000_150,
      slot: 390_000_000,
      account: wallet(4),
    },
  }
}

onEachStore('a charge on Solana', (store) => {
  test('rule 3: keeps message hash, signature, memo, block hash, height, slot and account, letter by letter', async () => {
    await store().reserve(terms(1, SOLANA), [claim(23_000n, 100_000n)], false)
    await store().authorize(terms(1).id, record(1), NOW + 2)
    const [charge] = await store().charges()
    expect(charge).toMatchObject({ ...SOLANA, authorization: record(1) })
    const signature = encodeBase58(new Uint8Array(64).fill(9))
    await store().move(terms(1).id, {
      to: 'uncertain',
      at: NOW + 3,
      reason: 'settlement_pending',
      transaction: signature,
    })
    expect(await store().unproven({ network: SOLANA.network, limit: 10 })).toMatchObject([
      { transaction: signature, authorization: record(1) },
    ])
  })

  test('rule 5: the same bytes are recorded with one charge only', async () => {
    for (const n of [1, 2]) await store().reserve(terms(n, SOLANA), [claim(1n, 100_000n)], false)
    expect(await store().authorize(terms(1).id, record(7), NOW + 2)).toMatchObject({ state: 'authorized' })
    const again = await Promise.resolve(store().authorize(terms(2).id, record(7), NOW + 2)).catch(
      (error: unknown) => error,
    )
    expect(JSON.stringify(again)).toContain('nonce_used')
  })
})
