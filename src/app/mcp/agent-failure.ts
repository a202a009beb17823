/** Failures of `agent_pay`, by the codes of the pay.sh skill that agents know. */
import { ConfigError, TollwayError, type ErrorCode } from '../../core/errors.ts'
import { StoppedError } from '../buying/stopped.ts'

/** A failure that an agent can act on. */
export class AgentFailure extends Error {
  override readonly name = 'AgentFailure'
  /** One of the skill's codes, or Tollway's own code where the skill has none. */
  readonly code: string
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: string, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.code = code
    this.details = details
  }
}

/** The skill's names for our codes. A code that is not here keeps its name: the skill knows nothing like it. */
const CODES: { readonly [K in ErrorCode]?: string } = {
  budget_exhausted: 'burner_cap_exceeded',
  price_above_limit: 'burner_cap_exceeded',
  insufficient_funds: 'insufficient_burner_balance',
  amount_zero: 'invalid_demand',
  amount_conflict: 'conflicting_amount_fields',
  amount_invalid: 'missing_amount',
  asset_not_allowed: 'non_usdc_asset',
  no_supported_offer: 'no_acceptable_requirement',
  offer_empty: 'no_payment_requirements',
  offer_undecodable: 'no_payment_requirements',
  memo_not_allowed: 'memo_too_large',
  host_not_allowed: 'private_ip',
  seller_unavailable: 'request_failed',
  signer_unavailable: 'sign_failed',
  store_unavailable: 'reserve_failed',
  audit_unavailable: 'reserve_failed',
}

/** What an agent is told about an error; `undefined` for one that is a fault of ours. */
export function toAgentFailure(error: unknown): AgentFailure | undefined {
  if (error instanceof AgentFailure) return error
  if (error instanceof TollwayError) {
    const { code, message, details } = error
    const isVersion = code === 'offer_undecodable' && message.includes('only versions 1 and 2')
    return new AgentFailure(isVersion ? 'unsupported_version' : (CODES[code] ?? code), message, details)
  }
  if (error instanceof StoppedError) return new AgentFailure('timeout', error.message)
  if (error instanceof ConfigError) return new AgentFailure('burner_not_configured', error.message)
  return undefined
}
