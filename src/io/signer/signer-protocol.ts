/** The messages between the signer and its worker. Both sides validate what they receive. */
import { z } from 'zod'
import { EVM_ADDRESS } from '../../core/evm.ts'

const address = z.string().regex(EVM_ADDRESS)
const uint256 = z.string().regex(/^(?:0|[1-9]\d{0,77})$/)
const chainId = z.int().min(1)

const tokenDomain = z.strictObject({
  name: z.string().min(1),
  version: z.string().min(1),
  chainId,
  verifyingContract: address,
})

const permit2Message = {
  from: address,
  token: address,
  amount: uint256,
  nonce: uint256,
  deadline: uint256,
  to: address,
  validAfter: uint256,
}

/** The payments and allowances of {@link TypedMessage}. Beside them only sign-ins are signed. */
const TYPED_MESSAGE = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('eip3009'),
    domain: tokenDomain,
    message: z.strictObject({
      from: address,
      to: address,
      value: uint256,
      validAfter: uint256,
      validBefore: uint256,
      nonce: z.string().regex(/^0x[0-9a-fA-F]{64}$/),
    }),
  }),
  z.strictObject({
    kind: z.literal('permit2_exact'),
    domain: z.strictObject({ chainId }),
    message: z.strictObject(permit2Message),
  }),
  z.strictObject({
    kind: z.literal('permit2_upto'),
    domain: z.strictObject({ chainId }),
    message: z.strictObject({ ...permit2Message, facilitator: address }),
  }),
  z.strictObject({
    kind: z.literal('eip2612_permit'),
    domain: tokenDomain,
    message: z.strictObject({ owner: address, value: uint256, nonce: uint256, deadline: uint256 }),
  }),
])

const line = z.string().regex(/^[\x20-\x7e]{1,500}$/)

/**
 * A sign-in of {@link SignInMessage}: the worker composes its text, so that no other text is ever signed.
 * @param wallet an address of the worker's kind of wallet
 * @param network the CAIP-2 ids of its networks
 */
export const signInRequest = (wallet: z.ZodType<string>, network: RegExp) =>
  z.strictObject({
    kind: z.literal('sign_in'),
    message: z.strictObject({
      domain: line.regex(/^\S+$/),
      address: wallet,
      statement: line.optional(),
      uri: line,
      version: z.literal('1'),
      network: z.string().regex(network),
      nonce: z.string().regex(/^[A-Za-z0-9]{8,128}$/),
      issuedAt: line,
      expirationTime: line.optional(),
      notBefore: line.optional(),
      requestId: line.optional(),
      resources: z.array(line).max(10).optional(),
    }),
  })

const SIGN_IN = signInRequest(address, /^eip155:[1-9]\d{0,15}$/)

/** The most messages of one {@link SIGN_REQUEST}, so that a large batch does not block single signatures. */
export const MAX_BATCH = 100

/** To the worker: sign these. */
export const SIGN_REQUEST = z.strictObject({
  type: z.literal('sign'),
  id: z.int(),
  messages: z
    .array(z.union([TYPED_MESSAGE, SIGN_IN]))
    .min(1)
    .max(MAX_BATCH),
})

const secret = z.discriminatedUnion('source', [
  z.strictObject({ source: z.literal('env'), name: z.string().min(1) }),
  z.strictObject({ source: z.literal('file'), path: z.string().min(1) }),
  z.strictObject({ source: z.literal('credential'), name: z.string().min(1) }),
])

/** To the worker, when it starts: where the key is kept. */
export const WORKER_DATA = z.strictObject({
  key: z.discriminatedUnion('source', [
    ...secret.options,
    z.strictObject({ source: z.literal('keystore'), path: z.string().min(1), password: secret }),
    z.strictObject({ source: z.literal('agentcash'), path: z.string().min(1) }),
  ]),
})

const hex = z.templateLiteral(['0x', z.string()])

/** From the worker. `reason` and `fault` are our own texts: no library's message about a key leaves the worker. */
export const WORKER_MESSAGE = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready'), address: z.string().min(1) }),
  z.strictObject({ type: z.literal('fault'), fault: z.string() }),
  z.strictObject({ type: z.literal('signed'), id: z.int(), signatures: z.array(hex) }),
  z.strictObject({ type: z.literal('refused'), id: z.int(), reason: z.string() }),
])

export type WorkerMessage = z.output<typeof WORKER_MESSAGE>
