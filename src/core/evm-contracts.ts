/** Contracts that have the same address on every chain. Lower case. */

/** Permit2. */
export const PERMIT2_ADDRESS = '0x000000000022d473030f116ddee9f6b43ac78ba3'

/** x402's spender for `exact`: it can pay only the payee in the witness. */
export const EXACT_PROXY = '0x402085c248eea27d92e8b30b2c58ed07f9e20001'

/** x402's spender for `upto`: it pays at most the signed amount, and only when the facilitator in the witness calls it. */
export const UPTO_PROXY = '0x4020a4f3b7b90cca423b9fabcc0ce57c6c240002'
