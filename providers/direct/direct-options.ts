/** The options of `direct`, read once. */
import { z } from 'zod'
import { EVM_ADDRESS } from '../../src/core/evm.ts'
import { property } from '../../src/core/property.ts'
import type { SigningAccount } from '../../src/io/signer/signer-account.ts'
import {
  clockOption,
  evmNetwork,
  networksOption,
  randomOption,
  timeoutOption,
} from '../shared/payer-options.ts'
import { SIGNER_REFERENCE } from '../shared/signer-reference.ts'

/** Strict: an unknown option is a mistake. */
export const DIRECT_OPTIONS = z
  .strictObject({
    key: SIGNER_REFERENCE.optional(),
    account: z
      .custom<SigningAccount>(isAccount, 'give a viem account, or { address, signTypedData(typed) }')
      .optional(),
    networks: networksOption(evmNetwork, 'base-sepolia'),
    nodes: z.record(evmNetwork, z.string('give the JSON-RPC address of a node of the network')).default({}),
    timeoutMs: timeoutOption,
    random: randomOption,
    clock: clockOption,
  })
  .refine(({ key, account }) => (key === undefined) !== (account === undefined), {
    message:
      "say who signs: key, e.g. { source: 'env', name: 'TOLLWAY_WALLET_KEY' }, or account, e.g. a viem account; not both",
  })

function isAccount(value: unknown): value is SigningAccount {
  const address = property(value, 'address')
  return (
    typeof address === 'string' &&
    EVM_ADDRESS.test(address) &&
    typeof property(value, 'signTypedData') === 'function'
  )
}
