import type { ChargeState } from '../../core/charge/charge.ts'

/** Every state of a charge, in the order of its life cycle. */
export const CHARGE_STATES = [
  'held',
  'authorized',
  'settled',
  'uncertain',
  'released',
] as const satisfies readonly ChargeState[]
