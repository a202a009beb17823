/** Payers: one factory per kind. */
export { direct, type DirectOptions } from './direct/direct.ts'
export { solana, type SolanaOptions } from './solana/solana.ts'
