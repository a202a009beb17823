/** Opens a gateway that replaces blockrun-openclaw-proxy. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { counted } from '../../core/budget/budget.ts'
import { ConfigError } from '../../core/errors.ts'
import { findNetwork } from '../../core/money/assets.ts'
import { parseConfig } from '../config/load.ts'
import type { Environment } from '../config/values/secrets.ts'
import { createGateway, type Gateway, type GatewayOverrides } from '../gateway/gateway.ts'
import type { GatewayParts } from '../gateway/open-parts.ts'
import { startDryRunSeller } from './dry-run-seller.ts'
import { blockrunHealth } from './health.ts'
import { originalHeaders } from './original-headers.ts'
import { originalLog } from './original-log.ts'
import { blockrunConfig, blockrunSettings, byVariable, type BlockrunSettings } from './settings.ts'

/** A gateway that stands in for that proxy. */
export interface BlockrunGateway extends Gateway {
  /** Whether it pays, from where and how much: a line for whoever starts it. */
  readonly note: string
}

/**
 * Opens the gateway from that proxy's environment variables.
 * @param home replacement for `~`; default the user's home directory
 * @throws ConfigError that names the variable, TollwayError
 */
export async function openBlockrun(
  env: Environment,
  overrides: GatewayOverrides = {},
  home?: string,
): Promise<BlockrunGateway> {
  const settings = blockrunSettings(env, home)
  for (const path of [settings.ledgerPath, settings.auditPath]) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  }
  const dryRun = settings.dryRun ? await startDryRunSeller() : undefined
  try {
    const config = byVariable(() => parseConfig(blockrunConfig(settings, dryRun && `${dryRun.url}/v1`), env))
    const log = originalLog({
      path: settings.originalLogPath,
      dryRun: settings.dryRun,
      dailyBudgetUsd: settings.dailyBudgetUsd,
      spentToday: async () => await spentToday(gateway.parts),
      onFailure: (error) => gateway.log.warn({ err: error }, 'BLOCKRUN_AUDIT_LOG cannot be written'),
    })
    const gateway = await createGateway(config, {
      addressFrom: 'HOST and PORT',
      ...overrides,
      observers: [...(overrides.observers ?? []), log.observe],
      first: (parts) => [
        blockrunHealth(settings, async () => await spentToday(parts)),
        originalHeaders(async () => await spentToday(parts)),
      ],
    }).catch((error: unknown) => {
      throw withWallet(error, settings)
    })
    return {
      ...gateway,
      note: noteOf(settings, gateway.parts),
      async close() {
        await log.close()
        await gateway.close()
        await log.close()
        await dryRun?.close()
      },
    }
  } catch (error) {
    await dryRun?.close()
    throw error
  }
}

/** What of the daily budget is taken: spent, held and uncertain. Micro-USD. */
async function spentToday({ ledger, config }: Pick<GatewayParts, 'ledger' | 'config'>): Promise<bigint> {
  const statuses = await ledger.budgets(config.budgets)
  return statuses.reduce((sum, { totals }) => sum + counted(totals), 0n)
}

/** A wallet that is missing is named by the variable that gives one. */
function withWallet(error: unknown, { dryRun, keyInEnvironment, network }: BlockrunSettings): unknown {
  if (dryRun || keyInEnvironment || !(error instanceof ConfigError) || !/wallet/i.test(error.message))
    return error
  return new ConfigError(
    `X402_PRIVATE_KEY is not set, and AgentCash's wallet cannot pay instead. ${error.message} ` +
      `Set X402_PRIVATE_KEY to the key of a wallet with USDC on ${network}, or BLOCKRUN_DRY_RUN=1 to try without paying.`,
    { cause: error },
  )
}

function noteOf(settings: BlockrunSettings, { payers }: Pick<GatewayParts, 'payers'>): string {
  const { dryRun, dailyBudgetUsd, maxUsdPerRequest, chatUrl } = settings
  if (dryRun) return 'dry run: every answer is made up here and nothing is paid (BLOCKRUN_DRY_RUN=1)'
  const payer = payers.get('blockrun')
  const networks = payer?.networks.map((id) => findNetwork(id)?.alias ?? id).join(', ') ?? ''
  return `live: ${payer?.address ?? 'the wallet'} pays ${new URL(chatUrl).host} on ${networks}, at most $${dailyBudgetUsd} a day and $${maxUsdPerRequest} a request`
}
