/** Whoever adds the lines that `tollway doctor` prints about a seller, word for word, has a configuration it finds nothing wrong with. */
import { afterEach, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/app/config/load.ts'
import { examineSellers } from '../../src/app/doctor/examine-sellers.ts'
import type { Finding } from '../../src/app/doctor/finding.ts'
import { solanaFeePayer, solanaPayee } from '../kit/solana/quotes.ts'
import { followed, type Written } from '../kit/follow-advice.ts'
import { challengeV2, OFFER } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'

const ENV = { TOLLWAY_WALLET_KEY: 'unused', SOLANA_KEY: 'unused', SOLANA_RPC: 'http://127.0.0.1:8899' }
const STRANGE = '0x00000000000000000000000000000000000abcde'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function selling(...offers: object[]): Promise<Written> {
  const seller = await startScriptedSeller({
    unpaid: challengeV2(offers.map((one) => ({ ...OFFER, ...one }))),
  })
  ends.push(() => seller.close())
  return {
    payers: { base: { kind: 'direct', key: '${env:TOLLWAY_WALLET_KEY}', networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'paid/m', model: 'm', api_base: seller.apiBase, payer: 'base' }],
  }
}

async function look(input: Written): Promise<Finding | undefined> {
  return (await examineSellers(parseConfig(input, ENV), new AbortController().signal))[0]
}

/** Follows what is printed until the seller is fine. @returns how many times something was added */
async function followUntilFine(start: Written): Promise<number> {
  let input = start
  for (let times = 0; times < 4; times += 1) {
    const finding = await look(input)
    if (finding?.status === 'ok') return times
    const next = followed(input, finding?.fix ?? '')
    expect([finding, next]).not.toEqual([finding, input])
    input = next
  }
  throw new Error(`the advice leads nowhere: ${JSON.stringify(input)}`)
}

describe('the lines that doctor prints', () => {
  it.each([
    ['a built-in network', [{ network: 'eip155:8453', asset: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913' }]],
    ['a network that nobody named', [{ network: 'eip155:98765', asset: STRANGE }]],
    ['a token that is not known', [{ asset: STRANGE }]],
    ['a price above the ceiling', [{ amount: '7654321' }]],
    [
      'a network without a payer before one with',
      [
        { network: 'aptos:1', asset: '0x1' },
        { network: 'eip155:42161', asset: STRANGE },
      ],
    ],
    [
      'Solana',
      [
        {
          network: 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1',
          asset: '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU',
          payTo: solanaPayee,
          extra: { feePayer: solanaFeePayer },
        },
      ],
    ],
  ])('lead to a seller that it finds fine: %s', async (_case, offers) => {
    expect(await followUntilFine(await selling(...offers))).toBeGreaterThan(0)
  })

  it('give a known token its value', async () => {
    const input = await selling({ asset: STRANGE })
    const asset = {
      network: 'base-sepolia',
      address: STRANGE,
      symbol: 'TOK',
      decimals: 6,
      name: 'T',
      version: '1',
    }
    const finding = await look({ ...input, assets: [asset] })
    expect(finding?.fix).toBe('Add its value in USD per TOK to its entry under assets, such as usd: "1".')
  })

  it('say that nobody pays on a network of another kind', async () => {
    const finding = await look(await selling({ network: 'stellar:pubnet', asset: 'USDC' }))
    expect(finding).toMatchObject({ status: 'problem', fix: 'No payer can pay there. Use another seller.' })
  })
})
