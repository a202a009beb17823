/** Keys come from the environment that `parseConfig()` is given, and from that of the process only where it is given none. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { sealKeystore } from '../../src/io/signer/new-keystore.ts'
import { createGateway, loadConfig, parseConfig, tollway } from '../../src/index.ts'
import type { ResolvedConfig } from '../../src/app/config/resolve/resolved.ts'

const NAME = 'TOLLWAY_TEST_OWN_ENVIRONMENT'

let key: `0x${string}`
let directory: string

beforeEach(async () => {
  key = generatePrivateKey()
  directory = await mkdtemp(join(tmpdir(), 'tollway-environment-'))
})
afterEach(async () => {
  delete process.env[NAME]
  delete process.env[`TOLLWAY_TAKEN_${NAME}`]
  await rm(directory, { recursive: true, force: true })
})

const configOf = (payer: object): object => ({
  listen: '127.0.0.1:0',
  store: 'memory',
  audit: { path: join(directory, 'audit.jsonl') },
  payers: { base: { kind: 'direct', networks: ['base-sepolia'], ...payer } },
  log: { level: 'silent' },
})
const CONFIG = { key: `\${env:${NAME}}` }

/** The address that a gateway pays from. */
async function payingAddress(config: ResolvedConfig): Promise<string | undefined> {
  const gateway = await createGateway(config)
  const address = gateway.parts.payers.get('base')?.address
  await gateway.close()
  return address
}

test('a key comes from the environment that was given, which is left as it was', async () => {
  process.env[NAME] = generatePrivateKey()
  const env = { [NAME]: key }
  const config = parseConfig(configOf(CONFIG), env)
  const address = privateKeyToAddress(key).toLowerCase()
  expect((await payingAddress(config))?.toLowerCase()).toBe(address)
  expect(env).toEqual({ [NAME]: key })
  // The variable of the process was nobody's: it is neither read nor removed.
  expect(process.env[NAME]).toBeDefined()
  // And a second time, for a reload.
  expect((await payingAddress(parseConfig(configOf(CONFIG), env)))?.toLowerCase()).toBe(address)
})

test('without one it comes from the process, and is removed there', async () => {
  process.env[NAME] = key
  const address = await payingAddress(parseConfig(configOf(CONFIG)))
  expect(address?.toLowerCase()).toBe(privateKeyToAddress(key).toLowerCase())
  expect(process.env[NAME]).toBeUndefined()
})

test('rule 8: what was given shows in no printed, copied or compared configuration', () => {
  const config = parseConfig(configOf(CONFIG), { [NAME]: key })
  const payers = Object.fromEntries(config.payers)
  const shown = [JSON.stringify(payers), inspect(payers, { depth: 9, showHidden: true })]
  for (const text of [...shown, JSON.stringify(structuredClone(payers))])
    expect(text).not.toContain(key.slice(2))
})

test('a file and tollway(config, { env }) take it from there too', async () => {
  const path = join(directory, 'tollway.yaml')
  // JSON is YAML.
  await writeFile(path, JSON.stringify(configOf(CONFIG)))
  const address = privateKeyToAddress(key).toLowerCase()
  expect((await payingAddress(loadConfig(path, { [NAME]: key })))?.toLowerCase()).toBe(address)
  const middleware = await tollway(configOf(CONFIG), { env: { [NAME]: key } })
  await middleware.close()
})

test('the password of a keystore and the directory of credentials come from there too', async () => {
  const address = privateKeyToAddress(key)
  const { text } = sealKeystore(key, 'correct horse', 2)
  await writeFile(join(directory, 'keystore.json'), text, { mode: 0o600 })
  await writeFile(join(directory, 'wallet-key'), key, { mode: 0o600 })
  const keystore = { keystore: { path: join(directory, 'keystore.json'), password: `\${env:${NAME}}` } }
  const password = parseConfig(configOf(keystore), { [NAME]: 'correct horse' })
  expect((await payingAddress(password))?.toLowerCase()).toBe(address.toLowerCase())
  const credential = configOf({ key: '${credential:wallet-key}' })
  const given = parseConfig(credential, { CREDENTIALS_DIRECTORY: directory })
  expect((await payingAddress(given))?.toLowerCase()).toBe(address.toLowerCase())
})

test('one that is not there is missed, whatever the process has', () => {
  process.env[NAME] = key
  expect(() => parseConfig(configOf(CONFIG), {})).toThrow(
    `needs the environment variable ${NAME}, which is not set. Set it before the start.`,
  )
})
