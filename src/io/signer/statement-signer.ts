/** Who signed a seller's statement (extension `offer-receipt`): the address of the key, for EIP-712 and for keys that a JWS carries. */
import { createPublicKey, ECDH, verify, type JsonWebKey, type KeyObject } from 'node:crypto'
import { recoverTypedDataAddress, type Hex } from 'viem'
import { keccak256 } from 'viem/utils'
import { decodeBase58, encodeBase58 } from '../../core/solana/base58.ts'
import type { SignedStatement } from '../../core/x402/signed-statements.ts'
import { isRecord, readBodyJson } from '../../core/x402/wire-json.ts'

/**
 * - an address in lower-case hex, or in base58 for an ed25519 key: its key made the signature.
 * - `other_key`: the signature is right, and its key has no address on any network here (P-256).
 * - `not_resolved`: the key is named by a DID that would have to be fetched (`did:web`), or by one that is not known.
 * - `wrong`: the signature does not fit what it stands under.
 */
export type Signer = { readonly address: string } | 'other_key' | 'not_resolved' | 'wrong'

const TYPES = {
  offer: [
    { name: 'version', type: 'uint256' },
    { name: 'resourceUrl', type: 'string' },
    { name: 'scheme', type: 'string' },
    { name: 'network', type: 'string' },
    { name: 'asset', type: 'string' },
    { name: 'payTo', type: 'string' },
    { name: 'amount', type: 'string' },
    { name: 'validUntil', type: 'uint256' },
  ],
  receipt: [
    { name: 'version', type: 'uint256' },
    { name: 'network', type: 'string' },
    { name: 'resourceUrl', type: 'string' },
    { name: 'payer', type: 'string' },
    { name: 'issuedAt', type: 'uint256' },
    { name: 'transaction', type: 'string' },
  ],
} as const

/** Finds out who signed. Nothing is fetched. Never rejects. */
export async function statementSigner(statement: SignedStatement): Promise<Signer> {
  try {
    const { proof } = statement
    return proof.format === 'jws'
      ? signerOfJws(proof)
      : { address: await recovered(statement, proof.signature) }
  } catch {
    return 'wrong'
  }
}

async function recovered({ kind, payload }: SignedStatement, signature: Hex): Promise<string> {
  const numbers = Object.entries(payload.numbers).map(([name, value]) => [name, BigInt(value)] as const)
  const name = kind === 'offer' ? 'Offer' : 'Receipt'
  const signer = await recoverTypedDataAddress({
    domain: { name: `x402 ${kind}`, version: '1', chainId: 1 },
    types: { [name]: TYPES[kind] },
    primaryType: name,
    message: { ...payload.texts, ...Object.fromEntries(numbers) },
    signature,
  })
  return signer.toLowerCase()
}

function signerOfJws({ alg, kid, compact }: Extract<SignedStatement['proof'], { format: 'jws' }>): Signer {
  const jwk = keyOf(kid)
  if (jwk === undefined) return 'not_resolved'
  const expected = ALGORITHMS[jwk.crv ?? '']
  if (expected === undefined || expected.alg !== alg) return 'wrong'
  const end = compact.lastIndexOf('.')
  const key: KeyObject = createPublicKey({ key: jwk, format: 'jwk' })
  const isRight = verify(
    expected.digest,
    Buffer.from(compact.slice(0, end)),
    { key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(compact.slice(end + 1), 'base64url'),
  )
  if (!isRight) return 'wrong'
  const [x, y] = [jwk.x ?? '', jwk.y ?? ''].map((part) => Buffer.from(part, 'base64url'))
  if (x === undefined || y === undefined) return 'wrong'
  if (jwk.crv === 'Ed25519') return { address: encodeBase58(x) }
  if (jwk.crv !== 'secp256k1') return 'other_key'
  return { address: `0x${keccak256(Buffer.concat([x, y])).slice(-40)}` }
}

const ALGORITHMS: Readonly<Record<string, { readonly alg: string; readonly digest: string | null }>> = {
  Ed25519: { alg: 'EdDSA', digest: null },
  secp256k1: { alg: 'ES256K', digest: 'sha256' },
  'P-256': { alg: 'ES256', digest: 'sha256' },
}

/** The key in a `did:key` or a `did:jwk`. */
function keyOf(kid: string): JsonWebKey | undefined {
  const [did = ''] = kid.split('#')
  const [scheme, method, id = ''] = did.split(':')
  if (scheme !== 'did') return undefined
  if (method === 'jwk') {
    const jwk = readBodyJson(Buffer.from(id, 'base64url'))
    return isRecord(jwk) ? publicPart(jwk) : undefined
  }
  return method === 'key' && id.startsWith('z') ? ofMulticodec(decodeBase58(id.slice(1))) : undefined
}

function publicPart(jwk: Readonly<Record<string, unknown>>): JsonWebKey {
  const { kty, crv, x, y } = jwk
  return {
    ...(typeof kty === 'string' ? { kty } : {}),
    ...(typeof crv === 'string' ? { crv } : {}),
    ...(typeof x === 'string' ? { x } : {}),
    ...(typeof y === 'string' ? { y } : {}),
  }
}

/** `did:key`: two bytes that name the kind of key, and the key; points are compressed. */
function ofMulticodec(bytes: Uint8Array | undefined): JsonWebKey | undefined {
  if (!bytes) return undefined
  const key = Buffer.from(bytes.subarray(2))
  switch (Buffer.from(bytes.subarray(0, 2)).toString('hex')) {
    case 'ed01':
      return { kty: 'OKP', crv: 'Ed25519', x: key.toString('base64url') }
    case 'e701':
      return { kty: 'EC', crv: 'secp256k1', ...pointOf(key, 'secp256k1') }
    case '8024':
      return { kty: 'EC', crv: 'P-256', ...pointOf(key, 'prime256v1') }
    default:
      return undefined
  }
}

function pointOf(compressed: Buffer, curve: string): { readonly x: string; readonly y: string } {
  const point = Buffer.from(
    String(ECDH.convertKey(compressed, curve, undefined, 'hex', 'uncompressed')),
    'hex',
  )
  return { x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') }
}
