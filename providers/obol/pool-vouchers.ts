/**
 * Turns x402-buyer's documents into pools and vouchers. Every field of a voucher is checked here; x402-buyer checks none and
 * relies on the seller.
 */
import { findAsset, findNetwork, type Asset } from '../../src/core/money/assets.ts'
import type { AuthorizationMethod } from '../../src/core/money/assets.ts'
import { EXACT_PROXY } from '../../src/core/evm-contracts.ts'
import { parseAtomic, toMicroUsd } from '../../src/core/money/money.ts'
import { GAS_SPONSORING } from '../../src/core/x402/extensions.ts'
import {
  sellerBase,
  voucherId,
  type SignedVoucher,
  type VoucherPool,
} from '../../src/core/vouchers/voucher.ts'
import type { AuthDocument, UpstreamDocument } from '../../src/io/external-payers/obol/documents.ts'
import { EVM_ADDRESS } from '../../src/core/evm.ts'

/** Network names that only x402-buyer uses. */
const OTHER_NETWORKS: Readonly<Record<string, string>> = {
  'base-mainnet': 'base',
  'ethereum-mainnet': 'ethereum',
  'polygon-mainnet': 'polygon',
  'avalanche-mainnet': 'avalanche',
}

const NONCE = /^0x[0-9a-f]{64}$/
const SECONDS = /^\d{1,15}$/
const SIGNATURE = /^0x[0-9a-f]{130,}$/i

/** A model name as x402-buyer looks it up: without any leading `paid/` and `openai/`. */
export function strippedModel(model: string): string {
  return model.trim().replace(/^(?:(?:paid|openai)\/)+/, '')
}

/** The CAIP-2 id of a network in x402-buyer's spelling; `undefined` for an unknown one. */
export function obolNetwork(name: string): string | undefined {
  const lower = name.trim().toLowerCase()
  return findNetwork(OTHER_NETWORKS[lower] ?? lower)?.id
}

/**
 * The pool of an upstream.
 * @param method how its authorizations pay
 * @returns a sentence that says what is wrong if there can be no pool
 */
export function poolOfUpstream(
  payer: string,
  name: string,
  upstream: UpstreamDocument,
  method: AuthorizationMethod,
  assets: readonly Asset[],
): VoucherPool | string {
  const { url, payTo, asset, price, remoteModel } = upstream
  const network = obolNetwork(upstream.network)
  if (network === undefined) return `its network "${upstream.network}" is not known`
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return 'its url is not an http or https address'
  const amount = parseAtomic(price)
  if (amount === undefined || amount === 0n)
    return 'its price is not a whole number of smallest units above 0'
  const [payee, token] = [payTo.trim().toLowerCase(), asset.trim().toLowerCase()]
  if (!EVM_ADDRESS.test(payee)) return 'its payTo is not an address'
  if (!EVM_ADDRESS.test(token)) return 'its asset is not an address'
  const known = findAsset(assets, network, token)
  return {
    payer,
    name,
    seller: sellerBase(url),
    network,
    asset: token,
    payTo: payee,
    amount,
    method,
    remoteModel: strippedModel(remoteModel) || strippedModel(name),
    symbol: known?.symbol ?? (upstream.assetSymbol || 'USDC'),
    decimals: known?.decimals ?? (upstream.assetDecimals || 6),
    refill: undefined,
    drainingSince: undefined,
  }
}

/** How the authorizations of an upstream pay: by their own shape or, if that is ambiguous, by its configuration. */
export function methodOf(auths: readonly AuthDocument[], upstream: UpstreamDocument): AuthorizationMethod {
  const permit2 = auths.some((auth) => isRecord(payloadOf(auth)['permit2Authorization']))
  const flat = auths.some((auth) => isRecord(payloadOf(auth)['authorization']))
  if (permit2 !== flat) return permit2 ? 'permit2' : 'eip3009'
  return upstream.assetTransferMethod.toLowerCase() === 'permit2' ? 'permit2' : 'eip3009'
}

/** x402-buyer's key for an authorization; `''` when it has none. */
export function consumeKey(auth: AuthDocument): string {
  const payload = payloadOf(auth)
  const of = (name: string): string => {
    const inner = payload[name]
    return isRecord(inner) ? textOf(inner['nonce']) : ''
  }
  const own = auth.payment ? textOf(payload['signature']) : auth.signature
  return auth.id || auth.nonce || of('authorization') || of('permit2Authorization') || auth.signature || own
}

/**
 * The voucher of an authorization.
 * @returns a code for what is wrong with it if it is not usable
 */
export function voucherOf(
  auth: AuthDocument,
  pool: VoucherPool,
  assets: readonly Asset[],
): SignedVoucher | 'unreadable' | 'other_network' | 'other_spender' {
  const payload = payloadOf(auth)
  const signature = normalisedSignature(textOf(payload['signature']))
  const terms = isRecord(payload['permit2Authorization'])
    ? readPermit2(payload['permit2Authorization'])
    : readTransfer(payload['authorization'], pool.asset)
  if (signature === undefined || terms === undefined) return 'unreadable'
  if (terms === 'other_spender') return terms
  const accepted = isRecord(auth.payment?.['accepted']) ? auth.payment['accepted'] : {}
  const network = textOf(accepted['network'])
  // The chain is part of the signed domain and cannot be read from the signature; this is what its signer wrote next to it.
  if (network !== '' && obolNetwork(network) !== pool.network) return 'other_network'
  const asset = findAsset(assets, pool.network, terms.asset)
  const own = {
    payer: pool.payer,
    pool: pool.name,
    seller: pool.seller,
    network: pool.network,
    ...terms,
    key: consumeKey(auth),
    microUsd: asset?.usd && toMicroUsd(terms.amount, asset.decimals, asset.usd),
  }
  const extensions = auth.payment?.['extensions']
  const payment = {
    x402Version: 2,
    payload: { ...payload, signature },
    ...(isRecord(extensions) ? { extensions: withNormalisedPermit(extensions) } : {}),
  }
  const turn = turnOf(extensions)
  return {
    id: voucherId(own),
    ...own,
    payment: JSON.stringify(payment),
    ...(turn === undefined ? {} : { turn }),
  }
}

/** The EIP-2612 nonce of an allowance in the extensions: the token accepts allowances only in the order of their nonces. */
function turnOf(extensions: unknown): number | undefined {
  const sponsoring = isRecord(extensions) ? extensions[GAS_SPONSORING] : undefined
  const info = isRecord(sponsoring) ? sponsoring['info'] : undefined
  const nonce = isRecord(info) ? textOf(info['nonce']) : ''
  return /^\d{1,15}$/.test(nonce) ? Number(nonce) : undefined
}

type Terms = Pick<
  SignedVoucher,
  'asset' | 'payTo' | 'amount' | 'method' | 'from' | 'nonce' | 'validAfter' | 'validBefore'
>

function readTransfer(authorization: unknown, asset: string): Terms | undefined {
  if (!isRecord(authorization)) return undefined
  const field = (name: string): string => textOf(authorization[name]).toLowerCase()
  const amount = parseAtomic(field('value'))
  const nonce = field('nonce')
  if (amount === undefined || !NONCE.test(nonce)) return undefined
  return common({
    asset,
    payTo: field('to'),
    amount,
    method: 'eip3009',
    from: field('from'),
    nonce,
    after: field('validAfter') || '0',
    before: field('validBefore'),
  })
}

function readPermit2(authorization: Readonly<Record<string, unknown>>): Terms | 'other_spender' | undefined {
  const { permitted, witness } = authorization as { readonly permitted?: unknown; readonly witness?: unknown }
  if (!isRecord(permitted) || !isRecord(witness)) return undefined
  const amount = parseAtomic(permitted['amount'])
  const nonce = parseAtomic(authorization['nonce'])
  if (amount === undefined || nonce === undefined) return undefined
  if (textOf(authorization['spender']).toLowerCase() !== EXACT_PROXY) return 'other_spender'
  return common({
    asset: textOf(permitted['token']).toLowerCase(),
    payTo: textOf(witness['to']).toLowerCase(),
    amount,
    method: 'permit2',
    from: textOf(authorization['from']).toLowerCase(),
    nonce: `0x${nonce.toString(16).padStart(64, '0')}`,
    after: textOf(witness['validAfter']) || '0',
    before: textOf(authorization['deadline']),
  })
}

function common({
  after,
  before,
  ...terms
}: Omit<Terms, 'validAfter' | 'validBefore'> & { readonly after: string; readonly before: string }):
  | Terms
  | undefined {
  if (!EVM_ADDRESS.test(terms.from) || !EVM_ADDRESS.test(terms.payTo) || !EVM_ADDRESS.test(terms.asset))
    return undefined
  if (!SECONDS.test(after) || !SECONDS.test(before)) return undefined
  return { ...terms, validAfter: Number(after), validBefore: Number(before) }
}

/** The scheme's payload, from either of the two shapes of an authorization. */
function payloadOf(auth: AuthDocument): Readonly<Record<string, unknown>> {
  if (auth.payment) return isRecord(auth.payment['payload']) ? auth.payment['payload'] : {}
  if (auth.signature === '' && auth.nonce === '') return {}
  const { signature, from, to, value, validAfter, validBefore, nonce } = auth
  return { signature, authorization: { from, to, value, validAfter: validAfter || '0', validBefore, nonce } }
}

/** Some signers end a signature with the recovery id 0 or 1 where contracts expect 27 or 28. */
function normalisedSignature(signature: string): string | undefined {
  if (!SIGNATURE.test(signature)) return undefined
  const v = signature.slice(130)
  if (signature.length !== 132 || (v !== '00' && v !== '01')) return signature
  return `${signature.slice(0, 130)}${v === '00' ? '1b' : '1c'}`
}

function withNormalisedPermit(
  extensions: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const sponsoring = extensions[GAS_SPONSORING]
  const info = isRecord(sponsoring) ? sponsoring['info'] : undefined
  if (!isRecord(sponsoring) || !isRecord(info)) return extensions
  const signature = normalisedSignature(textOf(info['signature'])) ?? info['signature']
  return { ...extensions, [GAS_SPONSORING]: { ...sponsoring, info: { ...info, signature } } }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
