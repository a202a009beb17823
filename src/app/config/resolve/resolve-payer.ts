import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { KeyReference, SecretReference, SignerReference } from '../../../core/payer/key-reference.ts'
import type { CheckedPayer } from '../schema/payers.ts'
import { resolveExternal } from './resolve-external.ts'
import { resolveObolPool } from './resolve-obol.ts'
import type { ResolvedPayer } from './resolved.ts'
import { parseReference } from '../values/secrets.ts'

/**
 * Converts a checked entry of `payers` to its final form.
 * @param directory base of relative paths
 */
export function resolvePayer(payer: CheckedPayer, directory: string): ResolvedPayer {
  switch (payer.kind) {
    case 'direct': {
      return { kind: 'direct', key: signerOf(payer, directory), networks: [...new Set(payer.networks)] }
    }
    case 'solana': {
      return { kind: 'solana', key: solanaKeyOf(payer, directory), networks: [...new Set(payer.networks)] }
    }
    case 'obol':
      return payer.mode === 'pool' ? resolveObolPool(payer, directory) : resolveExternal(payer, directory)
    case 'agentcash':
      return resolveExternal(payer, directory)
    default:
      return payer satisfies never
  }
}

function solanaKeyOf(payer: Extract<CheckedPayer, { kind: 'solana' }>, directory: string): KeyReference {
  const key = keyOf(payer, directory, 'solana-wallet.json')
  if (!key) throw new TypeError('a payer without a key passed the checks')
  return key
}

function signerOf(payer: Extract<CheckedPayer, { kind: 'direct' }>, directory: string): SignerReference {
  const key = keyOf(payer, directory, 'wallet.json')
  if (key) return key
  if (payer.signer === undefined) throw new TypeError('a payer without a key passed the checks')
  return { source: 'remote', ...payer.signer }
}

/** @param wallet AgentCash's wallet file, which `default` refers to */
function keyOf(
  payer: Pick<Extract<CheckedPayer, { kind: 'solana' }>, 'key' | 'keystore' | 'agentcash_wallet'>,
  directory: string,
  wallet: string,
): KeyReference | undefined {
  if (payer.key !== undefined) return referenceOf(payer.key, directory)
  if (payer.keystore !== undefined) {
    const path = resolve(directory, payer.keystore.path)
    return { source: 'keystore', path, password: referenceOf(payer.keystore.password, directory) }
  }
  const named = payer.agentcash_wallet
  if (named === undefined) return undefined
  const path = named === 'default' ? join(homedir(), '.agentcash', wallet) : resolve(directory, named)
  return { source: 'agentcash', path }
}

function referenceOf(text: string, directory: string): SecretReference {
  const reference = parseReference(text, directory)
  if (reference === undefined) throw new TypeError('a wallet key that is no reference passed the checks')
  return reference
}
