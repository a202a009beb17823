/** Opens a gateway that replaces blockrun-openclaw-proxy. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseConfig } from '../config/load.ts'
import type { Environment } from '../config/values/secrets.ts'
import { createGateway, type Gateway, type GatewayOverrides } from '../gateway/gateway.ts'
import { startDryRunSeller } from './dry-run-seller.ts'
import { blockrunHealth } from './health.ts'
import { blockrunConfig, blockrunSettings, byVariable } from './settings.ts'

/**
 * Opens the gateway from that proxy's environment variables.
 * @param home replacement for `~`; default the user's home directory
 * @throws ConfigError that names the variable, TollwayError
 */
export async function openBlockrun(
  env: Environment,
  overrides: GatewayOverrides = {},
  home?: string,
): Promise<Gateway> {
  const settings = blockrunSettings(env, home)
  for (const path of [settings.ledgerPath, settings.auditPath]) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  }
  const dryRun = settings.dryRun ? await startDryRunSeller() : undefined
  try {
    const config = byVariable(() => parseConfig(blockrunConfig(settings, dryRun && `${dryRun.url}/v1`), env))
    const gateway = await createGateway(config, {
      addressFrom: 'HOST and PORT',
      ...overrides,
      first: (parts) => [blockrunHealth(settings, parts)],
    })
    return {
      ...gateway,
      async close() {
        await gateway.close()
        await dryRun?.close()
      },
    }
  } catch (error) {
    await dryRun?.close()
    throw error
  }
}
