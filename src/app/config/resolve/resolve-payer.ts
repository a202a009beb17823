import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { SecretReference, SignerReference } from '../../../core/payer/key-reference.ts'
import type { CheckedPayer } from '../schema/payers.ts'
import { resolveExternal } from './resolve-external.ts'
import { resolveObolPool } from './resolve-obol.ts'
import type { ResolvedPayer } from './resolved.ts'
import { parseReference } from '../values/secrets.ts'

/**
 * Brings a checked entry of `payers` into its final form.
 * @param directory where relative paths start
 */
export function resolvePayer(payer: CheckedPayer, directory: string): ResolvedPayer {
  switch (payer.kind) {
    case 'direct': {
      return { kind: 'direct', key: signerOf(payer, directory), networks: [...new Set(payer.networks)] }
    }
    case 'obol':
      return payer.mode === 'pool' ? resolveObolPool(payer, directory) : resolveExternal(payer, directory)
    case 'agentcash':
      return resolveExternal(payer, directory)
    default:
      return payer satisfies never
  }
}

function signerOf(payer: Extract<CheckedPayer, { kind: 'direct' }>, directory: string): SignerReference {
  if (payer.key !== undefined) return referenceOf(payer.key, directory)
  if (payer.keystore !== undefined) {
    const path = resolve(directory, payer.keystore.path)
    return { source: 'keystore', path, password: referenceOf(payer.keystore.password, directory) }
  }
  if (payer.agentcash_wallet !== undefined) {
    const named = payer.agentcash_wallet
    const path =
      named === 'default' ? join(homedir(), '.agentcash', 'wallet.json') : resolve(directory, named)
    return { source: 'agentcash', path }
  }
  if (payer.signer === undefined) throw new TypeError('a payer without a key passed the checks')
  return { source: 'remote', ...payer.signer }
}

function referenceOf(text: string, directory: string): SecretReference {
  const reference = parseReference(text, directory)
  if (reference === undefined) throw new TypeError('a wallet key that is no reference passed the checks')
  return reference
}
