/** Takes a Solana key from where it is kept. Runs in the signer's worker only (rule 8). */
import { z } from 'zod'
import type { KeyReference } from '../../../core/payer/key-reference.ts'
import { readKeyFile } from '../key-file.ts'
import { KeyFault } from '../private-key.ts'
import { secretOf, takeVariable } from '../load-key.ts'
import { keyOfSeed, solanaKeyOf, type SolanaKey } from './solana-key.ts'

/** The list of 64 numbers that solana-keygen writes has 230 characters; whoever indents it gets more. */
const MAX_FILE_BYTES = 2048

const WALLET = z.object({ privateKey: z.string(), address: z.string() })

/** @throws KeyFault in words that hold nothing of the key or of a password */
export async function loadSolanaKey(key: KeyReference): Promise<SolanaKey> {
  switch (key.source) {
    case 'env':
      return solanaKeyOf(takeVariable(key.name), `environment variable ${key.name}`)
    case 'file':
      return solanaKeyOf(readKeyFile(key.path, { maxBytes: MAX_FILE_BYTES }), `key file ${key.path}`)
    case 'keystore': {
      // Loaded only where there is one: every signer would start a third slower for it.
      const { decryptKeystore } = await import('../key-keystore.ts')
      return keyOfSeed(await decryptKeystore(key.path, secretOf(key.password)))
    }
    case 'agentcash':
      return readAgentcashSolanaWallet(key.path)
    default:
      return key satisfies never
  }
}

/**
 * @param path normally `~/.agentcash/solana-wallet.json`: `privateKey` is base58
 * @throws KeyFault also when the address in the file is another one than its key's: somebody edited it by hand
 */
function readAgentcashSolanaWallet(path: string): SolanaKey {
  const wallet = WALLET.safeParse(
    parse(readKeyFile(path, { what: 'AgentCash Solana wallet', maxBytes: 4096 })),
  )
  if (!wallet.success) {
    throw new KeyFault(
      `The AgentCash Solana wallet ${path} is not one: it needs a "privateKey" (base58) and an "address". It is normally ~/.agentcash/solana-wallet.json.`,
    )
  }
  const made = solanaKeyOf(wallet.data.privateKey, `"privateKey" in the AgentCash Solana wallet ${path}`)
  if (wallet.data.address === made.address) return made
  throw new KeyFault(
    `The AgentCash Solana wallet ${path} names another address than its key has. Restore the file from its backup.`,
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // The parser's words quote the text.
    return undefined
  }
}
