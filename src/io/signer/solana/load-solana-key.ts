/** Loads a Solana key. Runs in the signer's worker only (rule 8). */
import { z } from 'zod'
import type { KeyReference } from '../../../core/payer/key-reference.ts'
import { readKeyFile } from '../key-file.ts'
import { KeyFault } from '../private-key.ts'
import { readCredential, secretOf, takeVariable } from '../load-key.ts'
import { keyOfSeed, solanaKeyOf, type SolanaKey } from './solana-key.ts'

/** The list of 64 numbers that solana-keygen writes has 230 characters, more when indented. */
const MAX_FILE_BYTES = 2048

const WALLET = z.object({ privateKey: z.string(), address: z.string() })

/** @throws KeyFault whose message never contains the key or a password */
export async function loadSolanaKey(key: KeyReference): Promise<SolanaKey> {
  switch (key.source) {
    case 'env':
      return solanaKeyOf(takeVariable(key.name), `environment variable ${key.name}`)
    case 'file':
      return solanaKeyOf(readKeyFile(key.path, { maxBytes: MAX_FILE_BYTES }), `key file ${key.path}`)
    case 'credential':
      return solanaKeyOf(readCredential(key.name, { maxBytes: MAX_FILE_BYTES }), `credential ${key.name}`)
    case 'keystore': {
      // Imported only when needed: it would make every signer start a third slower.
      const { decryptKeystore } = await import('../key-keystore.ts')
      return keyOfSeed(decryptKeystore(key.path, secretOf(key.password)))
    }
    case 'agentcash':
      return readAgentcashSolanaWallet(key.path)
    default:
      return key satisfies never
  }
}

/**
 * @param path normally `~/.agentcash/solana-wallet.json`: `privateKey` is base58
 * @throws KeyFault also when the address in the file is not that of its key, i.e. the file was edited by hand
 */
function readAgentcashSolanaWallet(path: string): SolanaKey {
  const wallet = WALLET.safeParse(
    parse(readKeyFile(path, { what: 'AgentCash Solana wallet', maxBytes: 4096 })),
  )
  if (!wallet.success) {
    throw new KeyFault(
      `${path} is not an AgentCash Solana wallet: it needs a "privateKey" (base58) and an "address". The wallet is normally ~/.agentcash/solana-wallet.json.`,
    )
  }
  const made = solanaKeyOf(wallet.data.privateKey, `"privateKey" in the AgentCash Solana wallet ${path}`)
  if (wallet.data.address === made.address) return made
  throw new KeyFault(
    `The address in the AgentCash Solana wallet ${path} is not the address of its key. Restore the file from its backup.`,
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // The parser's message quotes the text.
    return undefined
  }
}
