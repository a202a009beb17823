/** `tollway sandbox`: a complete setup without real money, to explore or to point a client at. */
import { once } from 'node:events'
import { payOnce } from './pay-once.ts'
import { OWN_KEY_VARIABLE, ownConfig, sellerAddresses, writeOwnConfig } from './own-config.ts'
import { balances, modelIds, usdc } from './show.ts'
import { startSandbox, type Sandbox } from './sandbox.ts'

/** Options from the command line. */
export interface SandboxCommand {
  /** Make one paid call, show it and exit. */
  readonly once: boolean
  readonly json: boolean
  /** Port of the gateway; if omitted, 8402 or a free one. */
  readonly port: number | undefined
  /** Seconds between blocks. */
  readonly blockTimeSeconds: number
  readonly stdout: (text: string) => void
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

const USUAL_PORT = 8402

/**
 * Runs the sandbox until the signal, or through one paid call.
 * @returns the exit code
 */
export async function runSandbox(command: SandboxCommand): Promise<number> {
  const { once: single, json, blockTimeSeconds, stdout, signal } = command
  if (single) {
    return await payOnce({ port: command.port ?? 0, blockTimeSeconds, json, stdout, signal })
  }
  const sandbox = await startOnUsualPort(command)
  try {
    stdout(json ? `${JSON.stringify(await facts(sandbox))}\n` : await welcome(sandbox))
    if (!signal.aborted) await once(signal, 'abort')
  } finally {
    await sandbox.close()
  }
  return 0
}

/** Uses the documented port if it is free; next to a running gateway the sandbox takes another one. */
async function startOnUsualPort({ port, blockTimeSeconds }: SandboxCommand): Promise<Sandbox> {
  if (port !== undefined) return await startSandbox({ port, blockTimeSeconds })
  try {
    return await startSandbox({ port: USUAL_PORT, blockTimeSeconds })
  } catch (error) {
    if (!isTaken(error)) throw error
    return await startSandbox({ port: 0, blockTimeSeconds })
  }
}

function isTaken(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
}

async function facts(sandbox: Sandbox): Promise<Record<string, unknown>> {
  const { world, url } = sandbox
  const { wallet, seller } = await balances(world)
  const { buyer, seller: payee } = world.chain.accounts
  return {
    base_url: `${url}/v1`,
    dashboard: `${url}/dashboard`,
    metrics: `${url}/metrics`,
    models: modelIds,
    chain: { network: world.chain.network, rpc: world.chain.rpcUrl },
    wallet: { address: buyer.address, usdc_atomic: wallet.toString(), private_key: buyer.privateKey },
    seller: { address: payee.address, usdc_atomic: seller.toString() },
    sellers: sellerAddresses(world),
    config: ownConfig(world),
    config_file: await writeOwnConfig(world, sandbox.directory),
    key_variable: OWN_KEY_VARIABLE,
    files: sandbox.directory,
  }
}

async function welcome(sandbox: Sandbox): Promise<string> {
  const { world, url } = sandbox
  const { wallet, seller } = await balances(world)
  const { buyer, seller: payee } = world.chain.accounts
  const sellers = sellerAddresses(world)
  const file = await writeOwnConfig(world, sandbox.directory)
  return `Tollway sandbox: a local chain, the official x402 facilitator and sellers, and a gateway that pays them. No real money.

  Base URL    ${url}/v1
  Dashboard   ${url}/dashboard
  Metrics     ${url}/metrics
  Chain       ${world.chain.network} (${world.chain.v1Network}) at ${world.chain.rpcUrl}
  Wallet      ${buyer.address}  ${usdc(wallet)} USDC
  Seller      ${payee.address}  ${usdc(seller)} USDC
  Budget      $1.00 a day, $0.001 a call
  Files       ${sandbox.directory} (gone at the end)

Models: ${modelIds.join(', ')}
Try it:

  curl -N ${url}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"${modelIds[0]}","stream":true,"messages":[{"role":"user","content":"Who pays for this answer?"}]}'

To pay these sellers from an app of your own, use this wallet, whose key is published and worth nothing elsewhere:

  export ${OWN_KEY_VARIABLE}=${buyer.privateKey}
  export TOLLWAY_SELLER=${sellers.streaming}
  npx tollway serve --config ${file}

  Streaming   ${sellers.streaming}
  Official    ${sellers.official}
  x402 v1     ${sellers.v1}
  Unpaid      ${sellers.free}

Ctrl-C ends it and leaves nothing behind.
`
}
