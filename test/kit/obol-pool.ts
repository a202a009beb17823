/** Vouchers and files as Obol's tools write them, for pools under test. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { bytesToHex, type Hex } from 'viem'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { EXACT_PROXY, PERMIT2_ADDRESS } from '../../src/core/evm-contracts.ts'
import { TRANSFER_WITH_AUTHORIZATION } from '../../src/core/payer/eip3009.ts'

/** USDC on Base Sepolia, as the local chain has it too. */
export const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'

/** How vouchers are signed. */
export interface SignOptions {
  readonly payTo: Hex
  readonly price?: bigint | undefined
  /** Unix seconds; default in an hour. */
  readonly validBefore?: number | undefined
  /** `flat`: the old shape; `payment`: what buy.py writes today; `permit2`: Permit2. Default `payment`. */
  readonly shape?: 'flat' | 'payment' | 'permit2' | undefined
  /** With `permit2`: the first voucher brings its allowance along under this EIP-2612 nonce, the others under those after it. */
  readonly permitNonce?: bigint | undefined
}

/** One authorization in a file. */
export type Auth = Record<string, unknown>

/** Derived once: it takes longer than signing. */
const { buyer } = localAccounts()
const account = privateKeyToAccount(buyer.privateKey)
const domain = { name: 'USDC', version: '2', chainId: 84_532, verifyingContract: USDC as Hex }
const inAnHour = (): number => Math.floor(Date.now() / 1000) + 3600

/** Signs vouchers with the local buyer's key. */
export async function signAuths(count: number, options: SignOptions): Promise<Auth[]> {
  return await Promise.all(Array.from({ length: count }, (_, at) => signAuth(options, BigInt(at))))
}

async function signAuth(options: SignOptions, at: bigint): Promise<Auth> {
  const { payTo, price = 1000n, validBefore = inAnHour(), shape = 'payment' } = options
  if (shape === 'permit2') {
    const { permitNonce } = options
    const auth = await signPermit2(payTo, price, validBefore)
    if (permitNonce === undefined) return auth
    const info = await signPermit(price, validBefore, permitNonce + at)
    return {
      ...auth,
      payment: { ...(auth['payment'] as Auth), extensions: { eip2612GasSponsoring: { info } } },
    }
  }
  const message = {
    from: buyer.address,
    to: payTo,
    value: price,
    validAfter: 0n,
    validBefore: BigInt(validBefore),
    nonce: bytesToHex(randomBytes(32)),
  }
  const signature = await account.signTypedData({
    domain,
    types: { TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION },
    primaryType: 'TransferWithAuthorization',
    message,
  })
  const authorization = { ...message, value: `${price}`, validAfter: '0', validBefore: `${validBefore}` }
  if (shape === 'flat') return { signature, ...authorization }
  return { id: message.nonce, payment: payment(payTo, price, { signature, authorization }) }
}

async function signPermit2(payTo: Hex, price: bigint, deadline: number): Promise<Auth> {
  const nonce = BigInt(bytesToHex(randomBytes(32)))
  const signature = await account.signTypedData({
    domain: { name: 'Permit2', chainId: 84_532, verifyingContract: PERMIT2_ADDRESS },
    types: {
      PermitWitnessTransferFrom: [
        { name: 'permitted', type: 'TokenPermissions' },
        { name: 'spender', type: 'address' },
        { name: 'nonce', type: 'uint256' },
        { name: 'deadline', type: 'uint256' },
        { name: 'witness', type: 'Witness' },
      ],
      TokenPermissions: [
        { name: 'token', type: 'address' },
        { name: 'amount', type: 'uint256' },
      ],
      Witness: [
        { name: 'to', type: 'address' },
        { name: 'validAfter', type: 'uint256' },
      ],
    },
    primaryType: 'PermitWitnessTransferFrom',
    message: {
      permitted: { token: USDC, amount: price },
      spender: EXACT_PROXY,
      nonce,
      deadline: BigInt(deadline),
      witness: { to: payTo, validAfter: 0n },
    },
  })
  const permit2Authorization = {
    permitted: { token: USDC, amount: `${price}` },
    from: buyer.address,
    spender: EXACT_PROXY,
    nonce: `${nonce}`,
    deadline: `${deadline}`,
    witness: { to: payTo, validAfter: '0' },
  }
  return { id: `${nonce}`, payment: payment(payTo, price, { signature, permit2Authorization }, 'permit2') }
}

/** As buy.py writes it: with the version, without the schema. */
async function signPermit(price: bigint, deadline: number, nonce: bigint): Promise<Auth> {
  const signature = await account.signTypedData({
    domain,
    types: {
      Permit: [
        { name: 'owner', type: 'address' },
        { name: 'spender', type: 'address' },
        { name: 'value', type: 'uint256' },
        { name: 'nonce', type: 'uint256' },
        { name: 'deadline', type: 'uint256' },
      ],
    },
    primaryType: 'Permit',
    message: {
      owner: buyer.address,
      spender: PERMIT2_ADDRESS,
      value: price,
      nonce,
      deadline: BigInt(deadline),
    },
  })
  return {
    from: buyer.address,
    asset: USDC,
    spender: PERMIT2_ADDRESS,
    amount: `${price}`,
    nonce: `${nonce}`,
    deadline: `${deadline}`,
    signature,
    version: '1',
  }
}

function payment(payTo: Hex, price: bigint, payload: object, method = 'eip3009'): Auth {
  return {
    x402Version: 2,
    accepted: {
      scheme: 'exact',
      network: 'eip155:84532',
      amount: `${price}`,
      asset: USDC,
      payTo,
      maxTimeoutSeconds: 600,
      extra: { name: 'USDC', version: '2', assetTransferMethod: method },
    },
    payload,
  }
}

/** An upstream as the controller writes it. */
export function upstreamFile(options: {
  readonly url: string
  readonly payTo: string
  readonly price?: bigint | undefined
  readonly model?: string | undefined
}): Record<string, unknown> {
  return {
    url: options.url,
    network: 'base-sepolia',
    payTo: options.payTo,
    price: `${options.price ?? 1000n}`,
    asset: USDC,
    assetSymbol: '',
    assetDecimals: 0,
    assetTransferMethod: 'eip3009',
    eip712Name: 'USDC',
    eip712Version: '2',
    remoteModel: options.model ?? 'sandbox-small',
  }
}

/** A directory with x402-buyer's two directories and its state file. */
export interface BuyerFiles {
  readonly directory: string
  readonly config: string
  readonly auths: string
  readonly state: string
  /** The entry of `payers`. */
  readonly payer: Record<string, unknown>
  /** Writes an upstream and its authorizations. */
  write(name: string, upstream: object, auths: readonly Auth[]): void
  remove(): void
}

export function buyerFiles(): BuyerFiles {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-obol-'))
  const [config, auths] = [join(directory, 'buyer-config'), join(directory, 'buyer-auths')]
  const state = join(directory, 'consumed.json')
  mkdirSync(config)
  mkdirSync(auths)
  return {
    directory,
    config,
    auths,
    state,
    payer: { kind: 'obol', mode: 'pool', config, auths, state },
    write(name, upstream, list) {
      writeFileSync(join(auths, `${name}.json`), JSON.stringify(list))
      writeFileSync(join(config, `${name}.json`), JSON.stringify(upstream))
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}
