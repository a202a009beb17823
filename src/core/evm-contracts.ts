/** Contracts that have the same address on every chain. Lower case. */

/** Permit2. */
export const PERMIT2_ADDRESS = '0x000000000022d473030f116ddee9f6b43ac78ba3'

/** x402's spender for `exact`: it can pay only the payee in the witness. */
export const EXACT_PROXY = '0x402085c248eea27d92e8b30b2c58ed07f9e20001'

/** x402's spender for `upto`: it pays at most the signed amount, and only when the facilitator in the witness calls it. */
export const UPTO_PROXY = '0x4020a4f3b7b90cca423b9fabcc0ce57c6c240002'

/** x402's contracts of payment channels: the channels themselves, and what collects deposits for them. */
export const CHANNEL_CONTRACTS: readonly string[] = [
  '0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003',
  '0x4020806089470a89826cb9fb1f4059150b550004',
  '0x4020425faf3b746c082c2f942b4e5159887b0005',
]
