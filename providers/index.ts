/** Payers: one factory per kind, and what a payer of your own is made of. */
export { direct, type DirectOptions } from './direct/direct.ts'
export { solana, type SolanaOptions } from './solana/solana.ts'
export { obol, type ObolPoolPayerOptions, type ObolSidecarOptions } from './obol.ts'
export { agentcash, type AgentcashOptions } from './agentcash.ts'
export { Variables } from '../src/core/payer/variables.ts'
export type { SigningAccount } from '../src/io/signer/signer-account.ts'
export type { Eip712 } from '../src/core/payer/typed-message.ts'
export type {
  KeyReference,
  RemoteSignerReference,
  SecretReference,
  SignerReference,
} from '../src/core/payer/key-reference.ts'
export type { Authorization, ChargeOutcome, Presigned, Provider } from '../src/core/payer/provider.ts'
export { Quote } from '../src/core/policy/gate.ts'
export type { Asset } from '../src/core/money/assets.ts'
export { encodePayment, type Challenge, type Offer } from '../src/core/x402/x402.ts'
export { composeAuthorization, toTyped, toWire } from '../src/core/payer/eip3009.ts'
export { toEip712 } from '../src/core/payer/typed-message.ts'
export type { AuthorizationRecord, Charge, ChargeState, Proof } from '../src/core/charge/charge.ts'
export { ConfigError, TollwayError } from '../src/core/errors.ts'
