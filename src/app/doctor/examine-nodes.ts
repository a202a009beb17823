/** The nodes under `chains`: whether they answer, serve the right network, and agree with our clock. */
import { isSolanaNetwork } from '../../core/money/address.ts'
import { findNetwork } from '../../core/money/assets.ts'
import { ChainError, openChain, type ChainReader } from '../../io/chain/chain.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { findingsOf, type Finding } from './finding.ts'

const TIMEOUT_MS = 10_000
/** A block from further ahead means that our clock is slow: sellers then refuse authorizations as expired. */
const MAX_AHEAD_SECONDS = 30
/** Every supported network makes blocks within seconds. */
const MAX_BEHIND_SECONDS = 300

const { ok, warning, problem, skipped } = findingsOf('nodes')

/** @param now milliseconds since the epoch */
export async function examineNodes(
  { chains }: Pick<ResolvedConfig, 'chains'>,
  now: number,
): Promise<Finding[]> {
  const found = [...chains].map(async ([id, { rpc, finality }]) => {
    const name = findNetwork(id)?.alias ?? id
    // Wallets and the reconciler read Solana; its blocks carry no time that could be compared.
    if (isSolanaNetwork(id)) return skipped(`The node of ${name} is examined with the wallets.`)
    const chain = openChain({ network: id, rpc, finality, timeoutMs: TIMEOUT_MS })
    try {
      return await examine(name, chain, now)
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      return problem(
        `The node of ${name} gave no usable answer (${error.reason}).`,
        `Check the address and key of chains.${name}.rpc.`,
      )
    } finally {
      chain.close()
    }
  })
  return await Promise.all(found)
}

async function examine(name: string, chain: ChainReader, now: number): Promise<Finding> {
  const [chainId, newest] = await Promise.all([chain.chainId(), chain.newest()])
  if (chain.network !== `eip155:${chainId}`)
    return problem(
      `The node of ${name} serves another network (eip155:${chainId}).`,
      `Give chains.${name}.rpc the address of a node of ${name}.`,
    )
  const { timestamp } = await chain.block(newest)
  const ahead = Math.round(timestamp - now / 1000)
  if (ahead > MAX_AHEAD_SECONDS)
    return problem(
      `The newest block of ${name} is ${ahead} s ahead of this machine's clock.`,
      'Set the clock (timedatectl set-ntp true): authorizations made with a slow clock are refused as expired.',
    )
  if (-ahead > MAX_BEHIND_SECONDS)
    return warning(
      `The newest block of ${name} is ${-ahead} s old: the node is behind, or this machine's clock is fast.`,
      'Wait until the node has caught up, use another one, or set the clock.',
    )
  return ok(`The node of ${name} answers; its newest block is ${newest}.`)
}
