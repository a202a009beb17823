/** `tollway sandbox`: a complete setup without real money, to explore or to point a client at. */
import { once } from 'node:events'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { askAloud, payOnce } from './pay-once.ts'
import { OWN_KEY_VARIABLE, ownConfig, sellerAddresses, writeOwnConfig } from './own-config.ts'
import { balances, modelIds, usdc } from './show.ts'
import { startSandbox, type Sandbox } from './sandbox.ts'

/** Options from the command line. */
export interface SandboxCommand {
  /** Make one paid call, show it and exit. */
  readonly once: boolean
  readonly json: boolean
  /** Make one paid call after the start, and keep running. */
  readonly call: boolean
  /** A configuration of `tollway init --sandbox`, and its file. */
  readonly own: { readonly file: string; readonly config: ResolvedConfig } | undefined
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
    const config = command.own?.config
    return await payOnce({ port: command.port ?? 0, blockTimeSeconds, config, json, stdout, signal })
  }
  const sandbox = await startOnUsualPort(command)
  try {
    const file = command.own?.file ?? (await writeOwnConfig(sandbox.world, sandbox.directory))
    const spent = command.call && !json ? await callOnce(sandbox, signal, stdout) : ''
    stdout(
      json
        ? `${JSON.stringify(await facts(sandbox, file))}\n`
        : `${spent}${await welcome(sandbox, file, command.own !== undefined)}`,
    )
    if (!signal.aborted) await once(signal, 'abort')
  } finally {
    await sandbox.close()
  }
  return 0
}

/** How an application pays these sellers by itself. */
function ownApp({ world }: Sandbox, file: string): string {
  return `
To pay these sellers from an app of your own, use this wallet, whose key is published and worth nothing elsewhere:

  export ${OWN_KEY_VARIABLE}=${world.chain.accounts.buyer.privateKey}
  export TOLLWAY_SELLER=${sellerAddresses(world).streaming}
  npx tollway serve --config ${file}
`
}

/** Uses the documented port if it is free; next to a running gateway the sandbox takes another one. */
async function startOnUsualPort({ port, blockTimeSeconds, own }: SandboxCommand): Promise<Sandbox> {
  if (own) return await startSandbox({ port: 0, blockTimeSeconds, config: own.config })
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

/** One paid call, so that the spend page has something to show. @returns what separates it from what follows */
async function callOnce(
  sandbox: Sandbox,
  signal: AbortSignal,
  stdout: (text: string) => void,
): Promise<string> {
  await askAloud(sandbox, signal, stdout)
  return '\n\n'
}

async function facts(sandbox: Sandbox, file: string): Promise<Record<string, unknown>> {
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
    config_file: file,
    key_variable: OWN_KEY_VARIABLE,
    files: sandbox.directory,
  }
}

async function welcome(sandbox: Sandbox, file: string, isOwn: boolean): Promise<string> {
  const { world, url } = sandbox
  const { wallet, seller } = await balances(world)
  const { buyer, seller: payee } = world.chain.accounts
  const sellers = sellerAddresses(world)
  return `Tollway sandbox: a local chain, the official x402 facilitator and sellers, and a gateway that pays them. No real money.

  Base URL    ${url}/v1
  Dashboard   ${url}/dashboard
  Metrics     ${url}/metrics
  Chain       ${world.chain.network} (${world.chain.v1Network}) at ${world.chain.rpcUrl}
  Wallet      ${buyer.address}  ${usdc(wallet)} USDC
  Seller      ${payee.address}  ${usdc(seller)} USDC
  ${isOwn ? `Budgets     those in ${file}` : `Budget      $1.00 a day, $0.001 a call\n  Files       ${sandbox.directory} (gone at the end)`}

Models: ${modelIds.join(', ')}
Try it:

  curl -N ${url}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"${modelIds[0]}","stream":true,"messages":[{"role":"user","content":"Who pays for this answer?"}]}'
${isOwn ? '' : ownApp(sandbox, file)}
  Streaming   ${sellers.streaming}
  Official    ${sellers.official}
  x402 v1     ${sellers.v1}
  Unpaid      ${sellers.free}

Ctrl-C ends it and leaves nothing behind.
`
}
