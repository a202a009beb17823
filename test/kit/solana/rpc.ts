/** Solana's JSON-RPC over HTTP, as much of it as payers, facilitators and the reconciler ask for, on the chain of the tests. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { LIFETIME, type LandedTransaction, type SolanaChain } from './chain.ts'

/** One call, as it came. */
export interface RpcCall {
  readonly method: string
  readonly params: readonly unknown[]
}

/** An error that the node answers with. */
export class RpcFault extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** A running node. */
export interface SolanaRpc {
  readonly url: string
  /** Calls so far, oldest first. */
  readonly calls: RpcCall[]
  /** Changes the answer to a method: gets the call and the honest answer. Replace it to lie, throw to fail. */
  readonly lies: Map<string, (honest: () => unknown, call: RpcCall) => unknown>
  close(): Promise<void>
}

/** Starts a node on a free port of the loopback address. */
export async function startSolanaRpc(chain: SolanaChain): Promise<SolanaRpc> {
  const calls: RpcCall[] = []
  const lies: SolanaRpc['lies'] = new Map()
  const methods = methodsOf(chain)
  const answer = (message: { id: unknown; method: string; params?: unknown[] }): object => {
    const { id, method, params = [] } = message
    const call = { method, params }
    calls.push(call)
    const base = { jsonrpc: '2.0', id }
    try {
      const honest = (): unknown => {
        const known = methods[method]
        if (!known) throw new RpcFault(-32_601, `Method not found: ${method}`)
        return known(params)
      }
      const lie = lies.get(method)
      return { ...base, result: lie ? lie(honest, call) : honest() }
    } catch (error) {
      const code = error instanceof RpcFault ? error.code : -32_603
      return { ...base, error: { code, message: error instanceof Error ? error.message : 'unknown' } }
    }
  }
  const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const asked = JSON.parse(Buffer.concat(pieces).toString('utf8')) as Parameters<typeof answer>[0]
      const body = Array.isArray(asked) ? asked.map((each: typeof asked) => answer(each)) : answer(asked)
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify(body, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)),
      )
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    lies,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

interface Options {
  readonly commitment?: string
  readonly minContextSlot?: number
  readonly until?: string
  readonly before?: string
  readonly limit?: number
}

function methodsOf(chain: SolanaChain): Record<string, (params: readonly unknown[]) => unknown> {
  const heightAt = (options: Options | undefined): number =>
    options?.commitment === 'processed' || options?.commitment === 'confirmed'
      ? chain.height
      : chain.finalizedHeight
  const checked = (options: Options | undefined): number => {
    const height = heightAt(options)
    if (options?.minContextSlot !== undefined && height < options.minContextSlot) {
      throw new RpcFault(-32_016, 'Minimum context slot has not been reached')
    }
    return height
  }
  const inContext = (options: Options | undefined, value: unknown): object => ({
    context: { apiVersion: '3.0.0', slot: checked(options) },
    value,
  })
  const account = (name: string): object | null => {
    const found = chain.account(name)
    if (!found) return null
    const data = [Buffer.from(found.data).toString('base64'), 'base64']
    const { owner, lamports } = found
    return { data, executable: false, lamports, owner, rentEpoch: 0, space: found.data.length }
  }
  const visible = (options: Options | undefined): LandedTransaction[] => {
    const height = checked(options)
    return chain.landed.filter(({ slot }) => slot <= height)
  }
  const status = (slot: number): string => (slot <= chain.finalizedHeight ? 'finalized' : 'confirmed')
  return {
    getGenesisHash: () => chain.genesis,
    getHealth: () => 'ok',
    getVersion: () => ({ 'solana-core': 'litesvm' }),
    getSlot: ([options]) => checked(options as Options),
    getBlockHeight: ([options]) => checked(options as Options),
    getEpochInfo: ([options]) => {
      const height = checked(options as Options)
      return { absoluteSlot: height, blockHeight: height, epoch: 0, slotIndex: height, slotsInEpoch: 432_000 }
    },
    getBlockTime: () => Math.floor(Date.now() / 1000),
    getFirstAvailableBlock: () => 0,
    getLatestBlockhash: ([options]) =>
      inContext(options as Options, {
        blockhash: chain.latestBlockhash,
        lastValidBlockHeight: chain.height + LIFETIME,
      }),
    isBlockhashValid: ([hash, options]) => inContext(options as Options, chain.isValid(String(hash))),
    getAccountInfo: ([name, options]) => inContext(options as Options, account(String(name))),
    getMultipleAccounts: ([names, options]) =>
      inContext(options as Options, (names as string[]).map(account)),
    getBalance: ([name, options]) => inContext(options as Options, chain.lamports(String(name))),
    getTokenAccountBalance: ([name, options]) => {
      const amount = chain.tokensAt(String(name))
      if (amount === undefined) throw new RpcFault(-32_602, 'Invalid param: could not find account')
      return inContext(options as Options, { amount: amount.toString(), decimals: 6 })
    },
    simulateTransaction: ([text]) => {
      const { err, logs, units } = chain.simulate(Buffer.from(String(text), 'base64'))
      return inContext(
        { commitment: 'processed' },
        {
          err,
          logs,
          unitsConsumed: units,
          accounts: null,
          returnData: null,
          innerInstructions: [],
        },
      )
    },
    sendTransaction: ([text]) => {
      const sent = chain.send(Buffer.from(String(text), 'base64'))
      if (!sent.ok) throw new RpcFault(-32_002, `Transaction simulation failed: ${sent.error}`)
      return sent.signature
    },
    getSignatureStatuses: ([names]) =>
      inContext(
        { commitment: 'processed' },
        (names as string[]).map((name) => {
          const found = chain.landed.find(({ signature }) => signature === name)
          return found
            ? {
                slot: found.slot,
                confirmations: null,
                err: found.err,
                confirmationStatus: status(found.slot),
              }
            : null
        }),
      ),
    getSignaturesForAddress: ([name, given]) => {
      const options = given as Options | undefined
      const all = visible(options)
        .filter(({ accounts }) => accounts.includes(String(name)))
        .toReversed()
      const after = (signature: string | undefined): number =>
        signature === undefined ? -1 : all.findIndex((one) => one.signature === signature)
      const end = after(options?.until)
      return all
        .slice(after(options?.before) + 1, end < 0 ? undefined : end)
        .slice(0, options?.limit ?? 1000)
        .map(({ signature, slot, err, memo }) => ({
          signature,
          slot,
          err,
          memo,
          blockTime: null,
          confirmationStatus: status(slot),
        }))
    },
    getTransaction: ([name, options]) => {
      const found = visible(options as Options).find(({ signature }) => signature === name)
      if (!found) return null
      const { slot, err, bytes } = found
      const transaction = [Buffer.from(bytes).toString('base64'), 'base64']
      return { slot, blockTime: null, version: 0, meta: { err, fee: 10_001 }, transaction }
    },
  }
}
