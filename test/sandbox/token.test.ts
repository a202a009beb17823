import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bytesToHex, parseSignature } from 'viem'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { TRANSFER_WITH_AUTHORIZATION } from '../../src/core/payer/typed-message.ts'
import { startChain } from '../../src/app/sandbox/chain/chain.ts'
import type { LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { connectLocal, mined } from '../../src/app/sandbox/chain/levers.ts'
import type { LocalClient } from '../../src/app/sandbox/chain/levers.ts'
import { tokenAbi } from '../../src/app/sandbox/chain/token-artifact.ts'

let chain: LocalChain
let client: LocalClient
beforeAll(async () => {
  chain = await startChain()
  const account = privateKeyToAccount(chain.accounts.facilitator.privateKey)
  client = connectLocal({ rpcUrl: chain.rpcUrl, chainId: chain.chainId, name: 'local', account })
})
afterAll(() => chain.close())

const types = {
  TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION,
  CancelAuthorization: [
    { name: 'authorizer', type: 'address' },
    { name: 'nonce', type: 'bytes32' },
  ],
  Permit: [
    { name: 'owner', type: 'address' },
    { name: 'spender', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
} as const

const farFuture = 4_000_000_000n
const domain = () => ({
  name: chain.token.name,
  version: chain.token.version,
  chainId: chain.chainId,
  verifyingContract: chain.token.address,
})
const token = () => ({ address: chain.token.address, abi: tokenAbi }) as const
const buyer = () => privateKeyToAccount(chain.accounts.buyer.privateKey)

function authorization(changes: Partial<{ value: bigint; validAfter: bigint; validBefore: bigint }> = {}) {
  return {
    from: chain.accounts.buyer.address,
    to: chain.accounts.seller.address,
    value: 1_000n,
    validAfter: 0n,
    validBefore: farFuture,
    nonce: bytesToHex(randomBytes(32)),
    ...changes,
  }
}
type Authorization = ReturnType<typeof authorization>

const sign = (message: Authorization): Promise<Hex> =>
  buyer().signTypedData({ domain: domain(), types, primaryType: 'TransferWithAuthorization', message })

function transfer(a: Authorization, signature: Hex) {
  const args = [a.from, a.to, a.value, a.validAfter, a.validBefore, a.nonce, signature] as const
  return { ...token(), functionName: 'transferWithAuthorization', args } as const
}

const simulate = async (a: Authorization, signature: Hex) => {
  await client.simulateContract(transfer(a, signature))
}

describe('the local token', () => {
  beforeEach(async () => {
    await chain.levers.pause(false)
    await chain.levers.blacklist(chain.accounts.buyer.address, false)
  })

  it('moves the signed amount once, marks the nonce, and refuses it the second time', async () => {
    const a = authorization()
    const signature = await sign(a)
    expect(await chain.authorizationState(a.from, a.nonce)).toBe(false)
    const before = await chain.balanceOf(a.to)
    await mined(client, client.writeContract(transfer(a, signature)))
    expect(await chain.balanceOf(a.to)).toBe(before + a.value)
    expect(await chain.authorizationState(a.from, a.nonce)).toBe(true)
    await expect(simulate(a, signature)).rejects.toThrow('FiatTokenV2: authorization is used or canceled')
    const used = await client.getContractEvents({
      ...token(),
      eventName: 'AuthorizationUsed',
      args: { authorizer: a.from, nonce: a.nonce },
      fromBlock: 0n,
    })
    expect(used).toHaveLength(1)
  })

  it('takes the signature in parts as well', async () => {
    const a = authorization()
    const { r, s, v = 0n } = parseSignature(await sign(a))
    const args = [a.from, a.to, a.value, a.validAfter, a.validBefore, a.nonce, Number(v), r, s] as const
    await mined(client, client.writeContract({ ...token(), functionName: 'transferWithAuthorization', args }))
    expect(await chain.authorizationState(a.from, a.nonce)).toBe(true)
  })

  it('refuses an authorization of which any part was changed after signing', async () => {
    const a = authorization()
    const signature = await sign(a)
    await simulate(a, signature)
    const other = chain.accounts.facilitator.address
    const changes = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map((value) => ({ value })),
      fc.bigInt({ min: 0n, max: 1_000_000_000n }).map((validAfter) => ({ validAfter })),
      fc.bigInt({ min: farFuture - 1_000n, max: 2n ** 256n - 1n }).map((validBefore) => ({ validBefore })),
      fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => ({ nonce: bytesToHex(bytes) })),
      fc.constantFrom({ to: other }, { from: other }),
    )
    await fc.assert(
      fc.asyncProperty(changes, async (change) => {
        const changed = { ...a, ...change }
        fc.pre(Object.entries(change).some(([key, value]) => Reflect.get(a, key) !== value))
        await expect(simulate(changed, signature)).rejects.toThrow('FiatTokenV2: invalid signature')
      }),
      { numRuns: 60 },
    )
  })

  it('refuses with the words of FiatToken v2.2', async () => {
    const now = (await client.getBlock()).timestamp
    const refused = async (a: Authorization, words: string) =>
      expect(simulate(a, await sign(a))).rejects.toThrow(words)
    await refused(authorization({ validAfter: farFuture }), 'FiatTokenV2: authorization is not yet valid')
    await refused(authorization({ validBefore: now }), 'FiatTokenV2: authorization is expired')
    await refused(authorization({ value: 2n ** 200n }), 'ERC20: transfer amount exceeds balance')
    await expect(simulate(authorization(), '0x1234')).rejects.toThrow('ECRecover: invalid signature length')
    await chain.levers.pause(true)
    await refused(authorization(), 'Pausable: paused')
    await chain.levers.pause(false)
    await chain.levers.blacklist(chain.accounts.buyer.address, true)
    await refused(authorization(), 'Blacklistable: account is blacklisted')
  })

  it('refuses the malleable twin of a signature', async () => {
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    const a = authorization()
    const { r, s, v } = parseSignature(await sign(a))
    const twin = (order - BigInt(s)).toString(16).padStart(64, '0')
    const flipped = v === 27n ? '1c' : '1b'
    await expect(simulate(a, `${r}${twin}${flipped}`)).rejects.toThrow(
      "ECRecover: invalid signature 's' value",
    )
  })

  it('lets the payer cancel what was not used, and no one else', async () => {
    const a = authorization()
    const cancel = (by: { signTypedData: ReturnType<typeof buyer>['signTypedData'] }) =>
      by.signTypedData({
        domain: domain(),
        types,
        primaryType: 'CancelAuthorization',
        message: { authorizer: a.from, nonce: a.nonce },
      })
    const call = (signature: Hex) =>
      ({ ...token(), functionName: 'cancelAuthorization', args: [a.from, a.nonce, signature] }) as const
    const stranger = privateKeyToAccount(chain.accounts.seller.privateKey)
    await expect(client.simulateContract(call(await cancel(stranger)))).rejects.toThrow(
      'FiatTokenV2: invalid signature',
    )
    await mined(client, client.writeContract(call(await cancel(buyer()))))
    expect(await chain.authorizationState(a.from, a.nonce)).toBe(true)
    await expect(simulate(a, await sign(a))).rejects.toThrow('FiatTokenV2: authorization is used or canceled')
  })

  it('grants an allowance by permit (EIP-2612), once', async () => {
    const spender = chain.accounts.facilitator.address
    const message = { owner: buyer().address, spender, value: 500n, nonce: 0n, deadline: farFuture }
    const signature = await buyer().signTypedData({ domain: domain(), types, primaryType: 'Permit', message })
    const permit = {
      ...token(),
      functionName: 'permit',
      args: [message.owner, spender, message.value, message.deadline, signature],
    } as const
    await mined(client, client.writeContract(permit))
    await expect(client.simulateContract(permit)).rejects.toThrow('EIP2612: invalid signature')
    const spend = (value: bigint) =>
      ({
        ...token(),
        functionName: 'transferFrom',
        args: [message.owner, chain.accounts.seller.address, value],
      }) as const
    await expect(client.simulateContract(spend(501n))).rejects.toThrow(
      'ERC20: transfer amount exceeds allowance',
    )
    await mined(client, client.writeContract(spend(500n)))
  })

  it('obeys its owner only', async () => {
    await expect(
      client.simulateContract({ ...token(), functionName: 'mint', args: [buyer().address, 1n] }),
    ).rejects.toThrow('Ownable: caller is not the owner')
    await expect(client.simulateContract({ ...token(), functionName: 'pause' })).rejects.toThrow('Ownable')
  })
})
