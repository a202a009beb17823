/** Options that payers have in common which let another program sign. */
import { z } from 'zod'

/** A reservation lasts 30 s: a payment that is signed later could not be used, and its signer would believe it spent. */
const LONGEST_MS = 28_000

/** Longest wait for a payment, milliseconds. */
export const externalTimeout = (standard: number) =>
  z
    .int('give whole milliseconds')
    .min(1, 'give at least 1 millisecond')
    .max(LONGEST_MS, `give at most ${LONGEST_MS}: a reservation lasts 30 s`)
    .default(standard)
