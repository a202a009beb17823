/** `agent_pay`: one paid call for an agent, through the same gate, ledger and budgets as every other payment. */
import type { BuyingContext } from '../buying/buying-context.ts'
import { pay, type PayingCaller } from '../buying/pay.ts'
import type { PaymentReceipt } from '../buying/receipt.ts'
import { AgentFailure, toAgentFailure } from './agent-failure.ts'
import { readAgentCall, type AgentArguments, type AgentCall } from './agent-input.ts'
import { readAnswer, type AnswerContent } from './answer-content.ts'
import { approve, approvePrice, type ApprovalPolicy, type Ask } from './approval.ts'
import { admit, type AgentKey } from './key-rules.ts'
import { refuseUnsupported } from './find-services.ts'
import { AGENT_TOKEN, inspectOffers } from './inspect-offers.ts'

/** How an agent may pay. */
export interface AgentSettings {
  /** Name of the payer; `undefined` if the configuration has none. */
  readonly payer: string | undefined
  /** Whom the ledger and budgets name as the caller, and whose limits hold. */
  readonly caller: PayingCaller
  /** The key that the agent called with, where it needs one: its models and rates hold. */
  readonly key?: AgentKey | undefined
  readonly approval: ApprovalPolicy
  /** The directory for answers that are not text. */
  readonly directory: string
  /** Whether services on this machine may be called over http. */
  readonly allowsPrivate: boolean
  /** The catalogue's index; there may be none. */
  readonly index: string
}

/** The result of a call. */
export interface AgentPaid {
  readonly status: number
  readonly receipt: PaymentReceipt
  readonly content: AnswerContent
}

/**
 * Pays for one call.
 * @throws AgentFailure
 */
export async function agentPay(
  context: BuyingContext,
  given: AgentArguments,
  settings: AgentSettings,
  ask: Ask,
  signal: AbortSignal,
): Promise<AgentPaid> {
  const call = readAgentCall(given, settings.allowsPrivate)
  const { payer } = settings
  if (payer === undefined)
    throw new AgentFailure(
      'burner_not_configured',
      'No wallet is configured. Add a payer to the configuration, or set TOLLWAY_WALLET_KEY; nothing was sent.',
    )
  refuseUnsupported(call.url, settings)
  const end = await admit(settings.key, call)
  let answer: AnswerContent | undefined
  try {
    const paid = await payApproved(context, call, { ...settings, payer }, ask, signal)
    answer = paid.content
    return paid
  } finally {
    end(answer)
  }
}

async function payApproved(
  context: BuyingContext,
  call: AgentCall,
  { payer, caller, approval, directory }: AgentSettings & { readonly payer: string },
  ask: Ask,
  signal: AbortSignal,
): Promise<AgentPaid> {
  await approve(call, approval, ask)
  const request = {
    url: call.url,
    method: call.method,
    // What was approved is what is called.
    isMethodGiven: true,
    data: call.body,
    headers: call.headers,
    payer,
    caller,
    maxMicroUsd: call.maxMicro,
    choice: { token: AGENT_TOKEN },
    approve: approvePrice(ask),
    inspect: (challenge: Parameters<typeof inspectOffers>[0], opened: Parameters<typeof inspectOffers>[1]) =>
      inspectOffers(challenge, opened, context.config.assets, call.maxMicro),
  }
  try {
    return await pay(context, request, signal, async ({ receipt, reply, error }) => {
      if (error !== undefined) throw withReceipt(error, receipt)
      if (!reply) throw new AgentFailure('request_failed', 'The service gave no answer; nothing was paid.')
      const content = await readAnswer(reply, directory, receipt.requestId).catch((cause: unknown) => {
        throw unread(cause, receipt)
      })
      return { status: reply.status, receipt, content }
    })
  } catch (error) {
    throw toAgentFailure(error) ?? error
  }
}

/** The failure with what happened to the money: an agent must not repeat a call that may have been paid. */
function withReceipt(error: unknown, receipt: PaymentReceipt): unknown {
  const failure = toAgentFailure(error)
  if (!failure) return error
  const { spent, charge, transaction } = receipt
  return new AgentFailure(failure.code, failure.message, {
    ...failure.details,
    spent,
    ...(charge === undefined ? {} : { charge }),
    ...(transaction === undefined ? {} : { transaction }),
  })
}

function unread(cause: unknown, { spent, charge, transaction }: PaymentReceipt): AgentFailure {
  const reason = cause instanceof Error ? cause.message : 'unknown'
  const money =
    spent === 'no'
      ? 'Nothing was paid.'
      : 'The payment was sent: do not repeat the call before you have looked.'
  return new AgentFailure(
    spent === 'no' ? 'request_failed' : 'paid_not_delivered',
    `The answer could not be read to its end (${reason}). ${money}`,
    { spent, charge: charge ?? null, transaction: transaction ?? null },
  )
}
