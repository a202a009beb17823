import { privateKeyToAccount } from 'viem/accounts'
import type { LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { connectLocal, mined } from '../../src/app/sandbox/chain/levers.ts'
import { tokenAbi } from '../../src/app/sandbox/chain/token-artifact.ts'
import { PERMIT2_ADDRESS } from '../../src/core/evm-contracts.ts'

/** Does what the advice about allowances says: the buyer approves Permit2, with ether for that one transaction. */
export async function approvePermit2(chain: LocalChain, amount: bigint): Promise<void> {
  const account = privateKeyToAccount(chain.accounts.buyer.privateKey)
  const client = connectLocal({ rpcUrl: chain.rpcUrl, chainId: chain.chainId, name: 'local', account })
  await client.setBalance({ address: account.address, value: 10n ** 18n })
  const token = { address: chain.token.address, abi: tokenAbi } as const
  await mined(
    client,
    client.writeContract({ ...token, functionName: 'approve', args: [PERMIT2_ADDRESS, amount] }),
  )
  await client.setBalance({ address: account.address, value: 0n })
}

/** What Permit2 may take from the buyer. */
export async function permit2Allowance(chain: LocalChain): Promise<bigint> {
  const account = privateKeyToAccount(chain.accounts.buyer.privateKey)
  const client = connectLocal({ rpcUrl: chain.rpcUrl, chainId: chain.chainId, name: 'local', account })
  return await client.readContract({
    address: chain.token.address,
    abi: tokenAbi,
    functionName: 'allowance',
    args: [account.address, PERMIT2_ADDRESS],
  })
}
