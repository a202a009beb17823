/** Loads a private key. Runs in the signer's worker only (rule 8). */
import type { PrivateKeyAccount } from 'viem/accounts'
import type { KeyReference, SecretReference } from '../../core/payer/key-reference.ts'
import { readAgentcashWallet } from './key-agentcash.ts'
import { readKeyFile } from './key-file.ts'
import { accountOf, KeyFault } from './private-key.ts'

/** @throws KeyFault whose message never contains the key or a password */
export async function loadKey(key: KeyReference): Promise<PrivateKeyAccount> {
  switch (key.source) {
    case 'env':
      return accountOf(takeVariable(key.name), `environment variable ${key.name}`)
    case 'file':
      return accountOf(readKeyFile(key.path), `key file ${key.path}`)
    case 'keystore': {
      // Imported only when needed: it would make every signer start a third slower.
      const { openKeystore } = await import('./key-keystore.ts')
      return await openKeystore(key.path, secretOf(key.password))
    }
    case 'agentcash':
      return readAgentcashWallet(key.path)
    default:
      return key satisfies never
  }
}

/** Reads and deletes a variable. The environment is shared with the main thread, so it is gone there too. */
export function takeVariable(name: string): string {
  const text = process.env[name]
  delete process.env[name]
  return text ?? ''
}

/** The password of a keystore. @throws KeyFault when there is none */
export function secretOf(reference: SecretReference): string {
  const text =
    reference.source === 'env'
      ? takeVariable(reference.name)
      : readKeyFile(reference.path, { what: 'password file' })
  const secret = text.replace(/\r?\n$/, '')
  if (secret !== '') return secret
  const place =
    reference.source === 'env' ? `environment variable ${reference.name}` : `password file ${reference.path}`
  throw new KeyFault(`The ${place} is empty. It must contain the password of the keystore and nothing else.`)
}
