/** The payers' keys and what their wallets hold. Keys are opened as the gateway opens them, one payer at a time. */
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { findNetwork, type Asset } from '../../core/money/assets.ts'
import { PERMIT2_ADDRESS } from '../../core/evm-contracts.ts'
import { readBalances, type Balance } from '../buying/balance.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { findingsOf, type Finding } from './finding.ts'

type Config = Pick<ResolvedConfig, 'payers' | 'chains' | 'assets'>

/** One finding for each payer and network. @param offline leaves the nodes alone */
export async function examineWallets(config: Config, offline: boolean): Promise<Finding[]> {
  const keys = findingsOf('keys')
  const read = offline ? { ...config, chains: new Map<string, never>() } : config
  const found: Finding[] = []
  for (const [name, payer] of config.payers) {
    if (payer.kind === 'obol' && payer.mode === 'pool') continue
    try {
      const balances = await readBalances(read, name)
      const address = balances[0]?.address
      if (address === undefined) {
        found.push(keys.note(`Payer ${name} has no wallet in this program.`))
        continue
      }
      found.push(keys.ok(`Payer ${name} opens and pays from ${address}.`))
      if (!offline) found.push(...fundsOf(name, balances), ...allowancesOf(name, balances, config.assets))
    } catch (error) {
      if (!(error instanceof ConfigError || error instanceof TollwayError)) throw error
      found.push(
        keys.problem(
          `Payer ${name} cannot be opened: ${error.message}`,
          'Fix its key under payers; docs/payers.md shows every form.',
        ),
      )
    }
  }
  return found
}

function fundsOf(payer: string, balances: readonly Balance[]): Finding[] {
  const { ok, note, warning, problem } = findingsOf('wallets')
  const networks = [...new Set(balances.map(({ network }) => network))]
  return networks.map((network) => {
    const here = balances.filter((one) => one.network === network && one.token !== 'native')
    const address = here[0]?.address ?? ''
    if (here.some(({ problem: why }) => why === 'no_answer'))
      return problem(
        `The node of ${network} did not answer, so the wallet of ${payer} could not be read.`,
        `Check chains.${network}.rpc.`,
      )
    if (here.every(({ problem: why }) => why === 'no_node'))
      return note(
        `No node is configured for ${network}: the balance of ${payer} is unknown, and uncertain payments cannot be proven.`,
      )
    const held = here.filter(({ balance }) => balance !== undefined && !isZero(balance))
    if (held.length === 0)
      return warning(
        `The wallet of ${payer} is empty on ${network}: sellers will refuse its payments.`,
        `Send USDC on ${network} to ${address}.`,
      )
    return ok(
      `Payer ${payer} holds ${held.map(({ balance, token }) => `${balance} ${token}`).join(', ')} on ${network}.`,
    )
  })
}

/** How much Permit2 may take, where it may or must. Tokens with EIP-3009 need no allowance. */
export function allowancesOf(
  payer: string,
  balances: readonly Balance[],
  assets: readonly Asset[],
): Finding[] {
  const { note, warning } = findingsOf('wallets')
  return balances.flatMap(({ network, token, balance, permit2Allowance: allowance }): Finding[] => {
    if (balance === undefined || allowance === undefined) return []
    if (!isZero(allowance)) {
      const most = isEndless(allowance) ? `any amount of ${token}` : `up to ${allowance} ${token}`
      return [note(`Permit2 may take ${most} from the wallet of ${payer} on ${network}.`)]
    }
    const asset = assets.find((one) => one.symbol === token && one.network === findNetwork(network)?.id)
    if (!asset?.methods || asset.methods.includes('eip3009') || isZero(balance)) return []
    return [
      warning(
        `Permit2 may take no ${token} from the wallet of ${payer} on ${network}: payments in ${token} are refused before they are signed, unless the seller sponsors the allowance.`,
        `Allow it once, from that wallet: cast send ${asset.address} "approve(address,uint256)" ${PERMIT2_ADDRESS} <amount in smallest units>; see docs/payers.md.`,
      ),
    ]
  })
}

function isZero(amount: string): boolean {
  return /^0(?:\.0*)?$/.test(amount)
}

/** More than any token has: the largest number, or what is left of it. */
function isEndless(amount: string): boolean {
  return (amount.split('.', 1)[0] ?? '').length > 40
}
