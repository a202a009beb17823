import { once } from 'node:events'
import express from 'express'
import type { Response } from 'express'
import { privateKeyToAccount } from 'viem/accounts'
import { z } from 'zod'
import type { VerifyTypedDataActionParameters } from 'viem'
import type { Network, PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { GAS_SPONSORING } from '../../core/x402/extensions.ts'
import type { LocalChain } from './chain/chain.ts'
import { connectLocal } from './chain/levers.ts'
import { serveOnLoopback } from '../../io/transport/loopback.ts'
import { loadOptionalPackages } from './shared/optional-packages.ts'

/** The operations of a facilitator. */
export type FacilitatorOperation = 'verify' | 'settle'

/** One fault that occurs once, at the next call of an operation. */
export type FacilitatorFault =
  /**
   * Answers with this status. With `afterwards` the operation is carried out first: the money moves although the
   * answer says otherwise.
   */
  | { status: number; body?: unknown; afterwards?: boolean | undefined }
  /** Works, but only after this many milliseconds. */
  | { delayMs: number }
  /** Never answers; nothing is carried out. */
  | { hang: true }
  /** Answers 200 with this text, which need not be JSON; nothing is carried out. */
  | { garbage: string }

/** One finished call. */
export interface FacilitatorCall {
  operation: FacilitatorOperation
  status: number
  x402Version: unknown
  request: unknown
  response: unknown
}

/** A running facilitator. */
export interface LocalFacilitator {
  url: string
  /** The account that pays the gas. */
  address: string
  /** Push a fault to have the next call of that operation fail; each is used once, in order. */
  faults: Record<FacilitatorOperation, FacilitatorFault[]>
  /** Finished calls, oldest first; the last 1,000 are kept. */
  log: FacilitatorCall[]
  close(): Promise<void>
}

const keptCalls = 1_000

// The official facilitator validates the parts itself; here only their presence is checked.
const Payment = z.object({
  x402Version: z.unknown(),
  paymentPayload: z.custom<PaymentPayload>((value) => value instanceof Object),
  paymentRequirements: z.custom<PaymentRequirements>((value) => value instanceof Object),
})

// The official types are looser than viem's for typed data, and stricter than x402 v1's names for networks.
const TypedDataCall = z.custom<VerifyTypedDataActionParameters>((value) => value instanceof Object)
const V1Network = z.custom<Network>((value) => typeof value === 'string')

/**
 * Serves the official x402 facilitator (v2: `exact` and `upto`, also by Permit2 with gas sponsoring; v1: `exact`) for the local chain over HTTP, the way
 * `HTTPFacilitatorClient` expects it: `GET /supported`, `POST /verify`, `POST /settle`.
 *
 * @param options.port - 0 (the default) takes a free one.
 * @throws {SandboxPackagesMissingError} When the official packages are not installed.
 */
export async function startFacilitator(
  chain: LocalChain,
  options: { port?: number | undefined } = {},
): Promise<LocalFacilitator> {
  const packages = await loadOptionalPackages()
  const account = privateKeyToAccount(chain.accounts.facilitator.privateKey)
  const client = connectLocal({
    rpcUrl: chain.rpcUrl,
    chainId: chain.chainId,
    name: chain.v1Network,
    account,
  })
  // One broadcast at a time keeps the account's transaction nonces in order.
  const inTurn = createQueue()
  const signer = packages.evm.toFacilitatorEvmSigner({
    address: account.address,
    getCode: (call) => client.getCode(call),
    readContract: (call) => client.readContract({ ...call, args: call.args ?? [] }),
    verifyTypedData: (call) => client.verifyTypedData(TypedDataCall.parse(call)),
    writeContract: (call) => inTurn(() => client.writeContract(call)),
    sendTransaction: (call) => inTurn(() => client.sendTransaction(call)),
    waitForTransactionReceipt: (call) => client.waitForTransactionReceipt(call),
  })
  const official = new packages.core.x402Facilitator()
    .register(chain.network, new packages.exactFacilitator.ExactEvmScheme(signer))
    .register(chain.network, new packages.uptoFacilitator.UptoEvmScheme(signer))
    .registerExtension({ key: GAS_SPONSORING })
    .registerV1(V1Network.parse(chain.v1Network), new packages.exactFacilitatorV1.ExactEvmSchemeV1(signer))

  const faults: LocalFacilitator['faults'] = { verify: [], settle: [] }
  const log: FacilitatorCall[] = []
  const closing = new AbortController()
  const app = express()
  app.use(express.json({ limit: '1mb' }))
  app.get('/supported', (_request, response) => void response.json(official.getSupported()))
  for (const operation of ['verify', 'settle'] as const) {
    app.post(`/${operation}`, async (request, response) => {
      const body: unknown = request.body
      const answer = (status: number, reply: unknown) => {
        const { x402Version } = z
          .object({ x402Version: z.unknown() })
          .catch({ x402Version: null })
          .parse(body)
        log.push({ operation, status, x402Version, request: body, response: reply })
        if (log.length > keptCalls) log.shift()
        response.status(status).json(reply)
      }
      const payment = Payment.safeParse(body)
      if (!payment.success) {
        answer(400, { error: 'paymentPayload and paymentRequirements are required' })
        return
      }
      const { paymentPayload, paymentRequirements } = payment.data
      const fault = faults[operation].shift()
      if (fault !== undefined && !(await carriesOn(fault, answer, response, closing.signal))) return
      try {
        const result = await official[operation](paymentPayload, paymentRequirements)
        if (fault !== undefined && 'status' in fault) answer(fault.status, fault.body ?? injected)
        else answer(200, result)
      } catch (error) {
        answer(500, { error: error instanceof Error ? error.message : String(error) })
      }
    })
  }
  const server = await serveOnLoopback(app, options.port)
  return {
    url: server.url,
    address: account.address,
    faults,
    log,
    async close() {
      closing.abort()
      await server.close()
    },
  }
}

const injected = { error: 'injected by the sandbox' }

/** Applies a fault. @returns whether the operation is still to be carried out */
async function carriesOn(
  fault: FacilitatorFault,
  answer: (status: number, reply: unknown) => void,
  response: Response,
  closing: AbortSignal,
): Promise<boolean> {
  if ('hang' in fault) return false
  if ('garbage' in fault) {
    response.status(200).type('application/json').send(fault.garbage)
    return false
  }
  if ('delayMs' in fault) return delay(fault.delayMs, closing)
  if (fault.afterwards === true) return true
  answer(fault.status, fault.body ?? injected)
  return false
}

/** @returns false if the facilitator closed first */
async function delay(ms: number, closing: AbortSignal): Promise<boolean> {
  const settled = new AbortController()
  const timer = setTimeout(() => settled.abort(), ms)
  const either = AbortSignal.any([settled.signal, closing])
  if (!either.aborted) await once(either, 'abort')
  clearTimeout(timer)
  return !closing.aborted
}

/** Runs tasks one after the other; a failed one does not stop the next. */
function createQueue(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (task) => {
    const run = last.then(task, task)
    last = run.catch(() => {})
    return run
  }
}
