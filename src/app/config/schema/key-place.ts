/** Where a payer's key is kept: parts shared by several kinds of payer. */
import { z } from 'zod'
import * as leaf from './scalar-fields.ts'

export const keystore = z.strictObject({
  path: z.string().min(1).meta({
    description:
      'The keystore: Web3 Secret Storage version 3, as geth, cast and ethers write it; mode 0600 or 0400.',
    example: './wallet.json',
  }),
  password: leaf.walletKey().meta({
    description: 'Its password. Read only by the signing thread, where the keystore is opened.',
    example: '"${env:WALLET_PASSWORD}"',
  }),
})

/**
 * Reports an entry that names no key location, or more than one.
 * @param places the keys of the entry that each name one
 */
export function onePlace(
  entry: Readonly<Record<string, unknown>>,
  places: readonly string[],
  context: z.RefinementCtx,
): void {
  const [first, second] = places.filter((name) => entry[name] !== undefined)
  if (second !== undefined) {
    context.addIssue({
      code: 'custom',
      path: [second],
      message: `cannot be combined with ${first}: a payer has one key. Keep one of ${places.join(', ')}.`,
    })
  }
  if (first === undefined) {
    context.addIssue({
      code: 'custom',
      path: ['key'],
      message: `is missing. Add it, such as key: "\${env:TOLLWAY_WALLET_KEY}", or one of ${places.slice(1).join(', ')} in its place.`,
    })
  }
}
