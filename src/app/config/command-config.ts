/** The configuration of a command that buys or pays: the file, or without one the environment variables of buy.py's pods. */
import { existsSync } from 'node:fs'
import { findNetwork } from '../../core/money/assets.ts'
import { loadConfig, parseConfig } from './load.ts'
import type { ResolvedConfig } from './resolve/resolved.ts'
import type { Environment } from './values/secrets.ts'

/** Where commands look when `--config` is not given. */
const DEFAULT_FILE = 'tollway.yaml'

/** buy.py's network when `ERPC_NETWORK` is not set. */
const DEFAULT_NETWORK = 'base-sepolia'
const DEFAULT_SOLANA_NETWORK = 'solana-devnet'

/**
 * Loads the file. If none was named and `tollway.yaml` does not exist, a wallet in the environment is enough: `REMOTE_SIGNER_URL`
 * (with `REMOTE_SIGNER_TOKEN`) or `TOLLWAY_WALLET_KEY`, and optionally `ERPC_URL` and `ERPC_NETWORK` for a node; on Solana
 * `TOLLWAY_SOLANA_KEY`, with `SOLANA_RPC_URL` and `SOLANA_NETWORK`.
 * @param load reads the file; `loadConfigForReading` for a command that needs no secrets
 * @throws ConfigProblemsError listing every mistake
 */
export function loadCommandConfig(
  path: string,
  env: Environment,
  load: (path: string, env: Environment) => ResolvedConfig = loadConfig,
): ResolvedConfig {
  const settings = path === DEFAULT_FILE && !existsSync(path) ? settingsOf(env) : undefined
  return settings === undefined ? load(path, env) : parseConfig(settings, env)
}

/**
 * The variables where a line names its network: `ERPC_NETWORK` is only the default, as in buy.py. A network that does not exist
 * changes nothing, and the command refuses it.
 */
export function onNetwork(env: Environment, network: string | undefined): Environment {
  const known = network === undefined ? undefined : findNetwork(network)
  return known?.chainId === undefined ? env : { ...env, ERPC_NETWORK: known.alias }
}

/** Whether the variables name a wallet. */
export function hasWallet(env: Environment): boolean {
  return settingsOf(env) !== undefined
}

/** The settings that the variables stand for; `undefined` without a wallet. */
function settingsOf(env: Environment): object | undefined {
  const [evm, solana] = [evmSettings(env), solanaSettings(env)]
  if (!evm && !solana) return undefined
  return {
    payers: { ...evm?.payers, ...solana?.payers },
    chains: { ...evm?.chains, ...solana?.chains },
  }
}

/** Settings for some networks. */
interface NetworkSettings {
  readonly payers: object
  readonly chains: object
}

function evmSettings(env: Environment): NetworkSettings | undefined {
  const signing = signingOf(env)
  if (signing === undefined) return undefined
  const network = valueOf(env, 'ERPC_NETWORK') ?? DEFAULT_NETWORK
  const node = valueOf(env, 'ERPC_URL')
  return {
    payers: {
      wallet: { kind: 'direct', ...signing, networks: [network] },
      // Spends what is bought, through a gateway on the same ledger.
      bought: { kind: 'obol', mode: 'pool' },
    },
    // eRPC serves each network below its own path.
    chains:
      node === undefined ? {} : { [network]: { rpc: `${node.replace(/\/+$/, '')}/${erpcName(network)}` } },
  }
}

/** eRPC's name of a network in its paths: buy.py's, which says mainnet for Ethereum. */
function erpcName(network: string): string {
  const alias = findNetwork(network)?.alias ?? network
  return alias === 'ethereum' ? 'mainnet' : alias
}

/** A wallet on Solana, whose node also gives the blockhash of each payment. */
function solanaSettings(env: Environment): NetworkSettings | undefined {
  if (valueOf(env, 'TOLLWAY_SOLANA_KEY') === undefined) return undefined
  const network = valueOf(env, 'SOLANA_NETWORK') ?? DEFAULT_SOLANA_NETWORK
  const node = valueOf(env, 'SOLANA_RPC_URL')
  return {
    payers: { solana: { kind: 'solana', key: '${env:TOLLWAY_SOLANA_KEY}', networks: [network] } },
    chains: node === undefined ? {} : { [network]: { rpc: node } },
  }
}

function signingOf(env: Environment): object | undefined {
  const url = valueOf(env, 'REMOTE_SIGNER_URL')
  if (url !== undefined) {
    const token = valueOf(env, 'REMOTE_SIGNER_TOKEN')
    return {
      signer: { url, ...(token === undefined ? {} : { token: '${env:REMOTE_SIGNER_TOKEN}' }) },
    }
  }
  return valueOf(env, 'TOLLWAY_WALLET_KEY') === undefined ? undefined : { key: '${env:TOLLWAY_WALLET_KEY}' }
}

function valueOf(env: Environment, name: string): string | undefined {
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  return value === '' ? undefined : value
}
