import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { KeyReference, SecretReference, SignerReference } from '../../../core/payer/key-reference.ts'
import type { CheckedPayer } from '../schema/payers.ts'
import { resolveExternal } from './resolve-external.ts'
import { resolveObolPool } from './resolve-obol.ts'
import type { ResolvedPayer } from './resolved.ts'
import { parseReference, type SecretContext } from '../values/secrets.ts'
import { Variables } from '../../../core/payer/variables.ts'

/**
 * Converts a checked entry of `payers` to its final form.
 * @param context base of relative paths, and where the variables of keys are
 */
export function resolvePayer(payer: CheckedPayer, context: SecretContext): ResolvedPayer {
  const { directory } = context
  switch (payer.kind) {
    case 'direct': {
      return { kind: 'direct', key: signerOf(payer, context), networks: [...new Set(payer.networks)] }
    }
    case 'solana': {
      return { kind: 'solana', key: solanaKeyOf(payer, context), networks: [...new Set(payer.networks)] }
    }
    case 'obol':
      return payer.mode === 'pool' ? resolveObolPool(payer, directory) : resolveExternal(payer, directory)
    case 'agentcash':
      return resolveExternal(payer, directory)
    default:
      return payer satisfies never
  }
}

function solanaKeyOf(payer: Extract<CheckedPayer, { kind: 'solana' }>, context: SecretContext): KeyReference {
  const key = keyOf(payer, context, 'solana-wallet.json')
  if (!key) throw new TypeError('a payer without a key passed the checks')
  return key
}

function signerOf(payer: Extract<CheckedPayer, { kind: 'direct' }>, context: SecretContext): SignerReference {
  const key = keyOf(payer, context, 'wallet.json')
  if (key) return key
  if (payer.signer === undefined) throw new TypeError('a payer without a key passed the checks')
  return { source: 'remote', ...payer.signer }
}

/** @param wallet AgentCash's wallet file, which `default` refers to */
function keyOf(
  payer: Pick<Extract<CheckedPayer, { kind: 'solana' }>, 'key' | 'keystore' | 'agentcash_wallet'>,
  context: SecretContext,
  wallet: string,
): KeyReference | undefined {
  const { directory } = context
  if (payer.key !== undefined) return referenceOf(payer.key, context)
  if (payer.keystore !== undefined) {
    const path = resolve(directory, payer.keystore.path)
    return { source: 'keystore', path, password: referenceOf(payer.keystore.password, context) }
  }
  const named = payer.agentcash_wallet
  if (named === undefined) return undefined
  const path = named === 'default' ? join(homedir(), '.agentcash', wallet) : resolve(directory, named)
  return { source: 'agentcash', path }
}

function referenceOf(text: string, { directory, env }: SecretContext): SecretReference {
  const reference = parseReference(text, directory)
  if (reference === undefined) throw new TypeError('a wallet key that is no reference passed the checks')
  // The signer's thread shares the environment of the process, and is given any other.
  if (reference.source === 'file' || env === process.env) return reference
  return { ...reference, variables: new Variables(env) }
}
