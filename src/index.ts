/**
 * Tollway: paid model routes for any OpenAI-compatible gateway. This entry has the gateway and what the middlewares
 * (`tollway/middleware`) and payers (`tollway/providers`) are put together with.
 *
 * @module
 */
export { createGateway, type Gateway, type GatewayOverrides } from './app/gateway/gateway.ts'
export { tollway, type TollwayMiddleware, type TollwayOptions } from './app/embedding/tollway.ts'
export { openParts, type PartOverrides, type GatewayParts } from './app/gateway/open-parts.ts'
export { loadConfig, parseConfig, type ParseOptions } from './app/config/load.ts'
export type { ResolvedConfig } from './app/config/resolve/resolved.ts'
export type { HookPoint, HookRefusal, Hooks, PaymentToSign, SentPayment } from './core/hooks/hooks.ts'
export { ERROR_TABLE } from './core/error-table.ts'
export { ConfigError, TollwayError, type ErrorCode } from './core/errors.ts'
export type { Observer, RequestSummary, TollwayEvent } from './core/telemetry/events.ts'
export { verifyAudit } from './io/audit/audit-verify.ts'
