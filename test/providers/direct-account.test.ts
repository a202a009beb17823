import { describe, expect, test } from 'vitest'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { agentcash, direct, obol, type Eip712 } from '../../providers/index.ts'
import { describeProvider, quoteOf } from '../../src/testing/suites.ts'

const account = privateKeyToAccount(generatePrivateKey())
const networks = ['base-sepolia']
const never = new AbortController().signal

/** What viem's own type asks for, from the plain form. */
async function sign({ domain, types, primaryType, message }: Eip712): Promise<string> {
  return await account.signTypedData({ domain, types, primaryType, message })
}

describeProvider('direct with a viem account', async () => await direct({ account: asSigning(), networks }))

function asSigning(): { address: string; signTypedData: typeof sign } {
  return { address: account.address, signTypedData: sign }
}

describe('direct({ account })', () => {
  test('takes a viem account as it is', async () => {
    const payer = await direct({ account, networks })
    expect(payer.address).toBe(account.address.toLowerCase())
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).resolves.toHaveProperty('kind', 'authorization')
    await payer.close()
  })

  test('asks for the payment that passed the gate, and for nothing else', async () => {
    const asked: Eip712[] = []
    const payer = await direct({
      account: {
        address: account.address,
        signTypedData: (typed) => {
          asked.push(typed)
          return sign(typed)
        },
      },
      networks,
    })
    const quote = quoteOf()
    await payer.authorize(quote, 'chg_1', never)
    expect(asked).toMatchObject([
      { primaryType: 'TransferWithAuthorization', message: { to: quote.payTo, value: '1000' } },
    ])
    await payer.close()
  })

  test.each([
    ['signs something else', async () => await account.signMessage({ message: 'x' })],
    ['returns no signature', async () => 'secret words'],
    ['returns the signature of a contract wallet', async () => `0x${'ab'.repeat(200)}`],
    ['throws', () => Promise.reject(new Error('secret words'))],
  ])(
    'rule 6: uses no signature of an account that %s, and repeats none of its words',
    async (_case, signTypedData) => {
      const payer = await direct({ account: { address: account.address, signTypedData }, networks })
      const error: unknown = await payer
        .authorize(quoteOf(), 'chg_1', never)
        .catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'signer_unavailable' })
      expect(String(error)).not.toMatch(/secret|abab/)
      await payer.close()
    },
  )

  test('waits no longer than it was told, and no longer than anybody wants the payment', async () => {
    const hanging = { address: account.address, signTypedData: () => new Promise<string>(() => undefined) }
    const payer = await direct({ account: hanging, networks, timeoutMs: 1 })
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toThrow('did not answer within 1 ms')
    await payer.close()
    const patient = await direct({ account: hanging, networks })
    const leaving = new AbortController()
    const waiting = patient.authorize(quoteOf(), 'chg_1', leaving.signal)
    leaving.abort(new Error('left'))
    await expect(waiting).rejects.toThrow('left')
    await patient.close()
  })

  test('says what it needs: a key or an account, and not both', async () => {
    // @ts-expect-error neither a key nor an account
    await expect(direct({ networks })).rejects.toThrow(/say who signs: key, .* or account/)
    const both = { key: { source: 'env', name: 'X' }, account, networks } as const
    // @ts-expect-error both
    await expect(direct(both)).rejects.toThrow(/not both/)
    // @ts-expect-error an account signs typed data
    await expect(direct({ account: { address: account.address }, networks })).rejects.toThrow(/viem account/)
  })
})

test('obol() and agentcash() tell what they miss', async () => {
  await expect(agentcash({ wallet: '/nowhere/wallet.json' })).rejects.toThrow(/wallet/)
  // @ts-expect-error the program needs its binary
  await expect(agentcash({ mode: 'cli' })).rejects.toThrow(/binary/)
  // @ts-expect-error the address of the x402-buyer is missing
  await expect(obol({ networks: ['base'] })).rejects.toThrow(/x402-buyer/)
})
