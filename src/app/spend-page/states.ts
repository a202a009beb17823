import type { ChargeState } from '../../core/charge/charge.ts'

/** Every state of a charge, in the order of its life cycle. */
export const CHARGE_STATES = [
  'held',
  'authorized',
  'settled',
  'uncertain',
  'released',
] as const satisfies readonly ChargeState[]

/** What became of requests without a charge, or without an answer: see `refusals.ts`. */
export const REFUSAL_STATES = ['refused', 'failed'] as const
