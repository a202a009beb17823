/** The options of `direct`, read once. */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { findNetwork, networkNames } from '../../src/core/money/assets.ts'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import type { RandomBytes } from '../../src/core/ids.ts'
import { EVM_ADDRESS } from '../../src/core/evm.ts'
import { unknownName } from '../../src/io/names/nearest-name.ts'

const KEY_HELP =
  "name where the key is: { source: 'env', name }, { source: 'file', path }, { source: 'keystore', path, password }, { source: 'agentcash', path } or { source: 'remote', url, token }; never the key itself"

const path = z.string(KEY_HELP).min(1, 'give the path of the file')
const env = z.strictObject({
  source: z.literal('env'),
  name: z
    .string(KEY_HELP)
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'give the name of an environment variable, e.g. TOLLWAY_WALLET_KEY'),
})
const file = z.strictObject({ source: z.literal('file'), path })

/** Where the key of a payer is. */
export const SIGNER_REFERENCE = z.discriminatedUnion(
  'source',
  [
    env,
    file,
    z.strictObject({
      source: z.literal('keystore'),
      path,
      password: z.discriminatedUnion(
        'source',
        [env, file],
        "name where the password is: { source: 'env', name } or { source: 'file', path }",
      ),
    }),
    z.strictObject({ source: z.literal('agentcash'), path }),
    z.strictObject({
      source: z.literal('remote'),
      url: z.url({ protocol: /^https?$/, error: 'give the http(s) address of the signer' }),
      token: z.string().min(1, 'give the bearer token, or leave it out').optional(),
      address: z.string().regex(EVM_ADDRESS, 'give the paying address: 0x and 40 hex digits').optional(),
    }),
  ],
  KEY_HELP,
)

const NETWORK = z.string().transform((name, context) => {
  const network = findNetwork(name)
  if (network) return network.id
  context.addIssue({
    code: 'custom',
    message: unknownName('network', name, networkNames()),
  })
  return z.NEVER
})

/** Strict: an unknown option is a mistake. */
export const DIRECT_OPTIONS = z.strictObject({
  key: SIGNER_REFERENCE,
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
    .custom<Clock>((value) => typeof value === 'object' && value !== null && 'now' in value, 'give { now() }')
    .default(systemClock),
})
