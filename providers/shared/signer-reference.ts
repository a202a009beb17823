/** The options that name where a payer's key is. */
import { z } from 'zod'
import { isCredentialName } from '../../src/io/files/credential.ts'
import { Variables } from '../../src/core/payer/variables.ts'
import { EVM_ADDRESS } from '../../src/core/evm.ts'

const KEY_HELP =
  "name where the key is: { source: 'env', name }, { source: 'file', path }, { source: 'credential', name }, { source: 'keystore', path, password }, { source: 'agentcash', path } or { source: 'remote', url, token }; never the key itself"

const variables = z
  .instanceof(Variables, { error: 'leave it out, or give what parseConfig() made' })
  .optional()
const path = z.string(KEY_HELP).min(1, 'give the path of the file')
const env = z.strictObject({
  source: z.literal('env'),
  name: z
    .string(KEY_HELP)
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'give the name of an environment variable, e.g. TOLLWAY_WALLET_KEY'),
  variables,
})
const file = z.strictObject({ source: z.literal('file'), path })

const credential = z.strictObject({
  source: z.literal('credential'),
  name: z.string(KEY_HELP).refine(isCredentialName, 'give the name of a credential, e.g. wallet-key'),
  variables,
})

const kept = [
  env,
  file,
  credential,
  z.strictObject({
    source: z.literal('keystore'),
    path,
    password: z.discriminatedUnion(
      'source',
      [env, file, credential],
      "name where the password is: { source: 'env', name }, { source: 'file', path } or { source: 'credential', name }",
    ),
  }),
  z.strictObject({ source: z.literal('agentcash'), path }),
] as const

/** Where the key of a payer is that signs by itself. */
export const KEY_REFERENCE = z.discriminatedUnion('source', kept, KEY_HELP)

/** Where the key of a payer is, a remote signer included. */
export const SIGNER_REFERENCE = z.discriminatedUnion(
  'source',
  [
    ...kept,
    z.strictObject({
      source: z.literal('remote'),
      url: z.url({ protocol: /^https?$/, error: 'give the http(s) address of the signer' }),
      token: z.string().min(1, 'give the bearer token, or leave it out').optional(),
      address: z.string().regex(EVM_ADDRESS, 'give the paying address: 0x and 40 hex digits').optional(),
    }),
  ],
  KEY_HELP,
)
