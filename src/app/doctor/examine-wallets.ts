/** The payers' keys and what their wallets hold. Keys are opened as the gateway opens them, one payer at a time. */
import { ConfigError, TollwayError } from '../../core/errors.ts'
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
      if (!offline) found.push(...fundsOf(name, balances))
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
    const held = here.filter(({ balance }) => balance !== undefined && !/^0(?:\.0*)?$/.test(balance))
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
