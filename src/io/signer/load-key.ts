/** Loads a private key. Runs in the signer's worker only (rule 8). */
import type { PrivateKeyAccount } from 'viem/accounts'
import type { KeyReference, SecretReference } from '../../core/payer/key-reference.ts'
import { readAgentcashWallet } from './key-agentcash.ts'
import { credentialPath } from '../files/credential.ts'
import { readKeyFile, type FileKind } from './key-file.ts'
import { accountOf, KeyFault } from './private-key.ts'

/** @throws KeyFault whose message never contains the key or a password */
export async function loadKey(key: KeyReference): Promise<PrivateKeyAccount> {
  switch (key.source) {
    case 'env':
      return accountOf(takeVariable(key.name), `environment variable ${key.name}`)
    case 'file':
      return accountOf(readKeyFile(key.path), `key file ${key.path}`)
    case 'credential':
      return accountOf(readCredential(key.name), `credential ${key.name}`)
    case 'keystore': {
      // Imported only when needed: it would make every signer start a third slower.
      const { openKeystore } = await import('./key-keystore.ts')
      return openKeystore(key.path, secretOf(key.password))
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

/** The text of a credential of the service. @throws KeyFault when there is none */
export function readCredential(name: string, kind: Pick<FileKind, 'maxBytes'> = {}): string {
  const place = credentialPath(name, process.env)
  if ('fault' in place) throw new KeyFault(`The signer needs ${place.fault}`)
  return readKeyFile(place.path, { ...kind, what: 'credential', isCredential: true })
}

/** The password of a keystore. @throws KeyFault when there is none */
export function secretOf(reference: SecretReference): string {
  const secret = textOf(reference).replace(/\r?\n$/, '')
  if (secret !== '') return secret
  const place =
    reference.source === 'file'
      ? `password file ${reference.path}`
      : `${reference.source === 'env' ? 'environment variable' : 'credential'} ${reference.name}`
  throw new KeyFault(`The ${place} is empty. It must contain the password of the keystore and nothing else.`)
}

function textOf(reference: SecretReference): string {
  if (reference.source === 'env') return takeVariable(reference.name)
  const bytes =
    reference.source === 'credential'
      ? readCredential(reference.name)
      : readKeyFile(reference.path, { what: 'password file' })
  // Read byte by byte, as a key is; a password is UTF-8, as in the wallets that made the keystore.
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
