/** Reads the wallet file of AgentCash. Runs in the signer's worker only (rule 8). */
import type { PrivateKeyAccount } from 'viem/accounts'
import { z } from 'zod'
import { readKeyFile } from './key-file.ts'
import { accountOf, KeyFault } from './private-key.ts'

const WALLET = z.object({ privateKey: z.string(), address: z.string().optional() })

/**
 * @param path normally `~/.agentcash/wallet.json`
 * @throws KeyFault also when the address in the file is not that of its key, i.e. the file was edited by hand
 */
export function readAgentcashWallet(path: string): PrivateKeyAccount {
  const wallet = WALLET.safeParse(parse(readKeyFile(path, { what: 'AgentCash wallet', maxBytes: 4096 })))
  if (!wallet.success) {
    throw new KeyFault(
      `${path} is not an AgentCash wallet: it needs a "privateKey" (0x and 64 hex digits) and an "address". The wallet is normally ~/.agentcash/wallet.json.`,
    )
  }
  const account = accountOf(wallet.data.privateKey, `"privateKey" in the AgentCash wallet ${path}`)
  const { address } = wallet.data
  if (address !== undefined && address.toLowerCase() !== account.address.toLowerCase()) {
    throw new KeyFault(
      `The address in the AgentCash wallet ${path} is not the address of its key. Restore the file, or remove "address" if the key is correct.`,
    )
  }
  return account
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // The parser's message quotes the text.
    return undefined
  }
}
