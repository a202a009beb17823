/** The options of `direct`, read once. */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { evmNetworkNames, findEvmNetwork } from '../../src/core/money/assets.ts'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import type { RandomBytes } from '../../src/core/ids.ts'
import { unknownName } from '../../src/io/names/nearest-name.ts'
import { EVM_ADDRESS } from '../../src/core/evm.ts'
import { property } from '../../src/core/property.ts'
import type { SigningAccount } from '../../src/io/signer/signer-account.ts'
import { SIGNER_REFERENCE } from '../shared/signer-reference.ts'

const NETWORK = z.string().transform((name, context) => {
  const network = findEvmNetwork(name)
  if (network) return network.id
  context.addIssue({
    code: 'custom',
    message: unknownName('network', name, evmNetworkNames()),
  })
  return z.NEVER
})

/** Strict: an unknown option is a mistake. */
export const DIRECT_OPTIONS = z
  .strictObject({
    key: SIGNER_REFERENCE.optional(),
    account: z
      .custom<SigningAccount>(isAccount, 'give a viem account, or { address, signTypedData(typed) }')
      .optional(),
    networks: z
      .array(NETWORK, 'list the networks it may pay on, e.g. ["base-sepolia"]')
      .min(1, 'list at least one network it may pay on, e.g. ["base-sepolia"]')
      .transform((ids) => [...new Set(ids)]),
    nodes: z.record(NETWORK, z.string('give the JSON-RPC address of a node of the network')).default({}),
    timeoutMs: z.int('give whole milliseconds').min(1, 'give at least 1 millisecond').default(10_000),
    random: z
      .custom<RandomBytes>((value) => typeof value === 'function', 'give a function (count) => bytes')
      .default(() => randomBytes),
    clock: z
      .custom<Clock>(
        (value) => typeof value === 'object' && value !== null && 'now' in value,
        'give { now() }',
      )
      .default(systemClock),
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
