/** Converts rows to objects and back. Reading is strict: an unexpected value is damage and never becomes a default. */
import type { SQLOutputValue } from 'node:sqlite'
import type { Totals } from '../../../core/budget/budget.ts'
import {
  type AuthorizationRecord,
  type Charge,
  type ChargeState,
  type Proof,
  type SolanaProof,
} from '../../../core/charge/charge.ts'
import { type AuthorizationMethod } from '../../../core/money/assets.ts'
import { CHARGE_FLAGS, type ChargeFlag } from '../../../core/charge/reconcile.ts'
import { WINDOWS } from '../../../core/budget/window.ts'
import type { Share } from '../rules/charge-rules.ts'
import type { BudgetWindow } from '../contracts/budgets.ts'
import type { Flagged } from '../contracts/flags.ts'
import type { Instance } from '../contracts/instances.ts'
import { NOTICE_KINDS, type Notice } from '../contracts/notices.ts'
import type { KnownPrice, Pin } from '../contracts/sellers.ts'

/** A row as `node:sqlite` returns it. */
export type Row = Readonly<Record<string, SQLOutputValue>>

const STATES: readonly ChargeState[] = ['held', 'authorized', 'settled', 'uncertain', 'released']
const COUNTS = ['tokens', 'requests'] as const
const PROOFS: readonly Proof[] = ['receipt', 'assumed', 'chain']
const SCHEMES = ['exact', 'upto'] as const
const METHODS: readonly AuthorizationMethod[] = ['eip3009', 'permit2']

/** The columns of `charges` and a charge's values in them. */
export function chargeToRow(charge: Charge): Record<string, string | number | null> {
  return {
    id: charge.id,
    instance: charge.instance,
    request_id: charge.requestId,
    caller: charge.caller,
    model: charge.model,
    route: charge.route,
    payer: charge.payer,
    seller: charge.seller,
    api_base: charge.apiBase,
    network: charge.network,
    asset: charge.asset,
    symbol: charge.symbol,
    decimals: charge.decimals,
    pay_to: charge.payTo,
    amount: charge.amount.toString(),
    micro_usd: charge.microUsd?.toString() ?? null,
    reserved_at: charge.reservedAt,
    lease_until: charge.leaseUntil,
    remote_model: charge.remoteModel ?? null,
    tags: charge.tags && charge.tags.length > 0 ? JSON.stringify(charge.tags) : null,
    ...changesToRow(charge),
  }
}

/** The columns of `charges` that change after the reservation. */
export function changesToRow(charge: Charge): Record<string, string | number | null> {
  const solana = charge.authorization?.solana
  return {
    state: charge.state,
    proof: charge.proof ?? null,
    from_address: charge.authorization?.from ?? null,
    nonce: charge.authorization?.nonce ?? null,
    valid_after: charge.authorization?.validAfter ?? null,
    valid_before: charge.authorization?.validBefore ?? null,
    method: solana ? null : (charge.authorization?.method ?? null),
    scheme: charge.authorization?.scheme ?? null,
    charged: charge.charged?.toString() ?? null,
    own_signature: solana?.signature ?? null,
    memo: solana?.memo ?? null,
    blockhash: solana?.blockhash ?? null,
    last_valid_height: solana?.lastValidHeight ?? null,
    signed_slot: solana?.slot ?? null,
    source_account: solana?.account ?? null,
    tx: charge.transaction ?? null,
    reason: charge.reason ?? null,
    updated_at: charge.updatedAt,
  }
}

/** A row of `charges`. @throws Error when the row is damaged */
export function rowToCharge(row: Row): Charge {
  return {
    id: text(row, 'id'),
    instance: text(row, 'instance'),
    requestId: text(row, 'request_id'),
    caller: text(row, 'caller'),
    model: text(row, 'model'),
    route: text(row, 'route'),
    payer: text(row, 'payer'),
    seller: text(row, 'seller'),
    apiBase: text(row, 'api_base'),
    network: text(row, 'network'),
    asset: text(row, 'asset'),
    symbol: text(row, 'symbol'),
    decimals: integer(row, 'decimals'),
    payTo: text(row, 'pay_to'),
    amount: amount(row, 'amount'),
    microUsd: rowToMicroUsd(row),
    reservedAt: integer(row, 'reserved_at'),
    leaseUntil: integer(row, 'lease_until'),
    ...(row['remote_model'] === null ? {} : { remoteModel: text(row, 'remote_model') }),
    ...(row['tags'] === null ? {} : { tags: rowToTags(row) }),
    state: oneOf(row, 'state', STATES),
    proof: row['proof'] === null ? undefined : oneOf(row, 'proof', PROOFS),
    ...(row['charged'] === null ? {} : { charged: amount(row, 'charged') }),
    authorization: row['nonce'] === null ? undefined : rowToAuthorization(row),
    transaction: optionalText(row, 'tx'),
    reason: optionalText(row, 'reason'),
    updatedAt: integer(row, 'updated_at'),
  }
}

function rowToTags(row: Row): string[] {
  const tags: unknown = JSON.parse(text(row, 'tags'))
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) return damaged('tags')
  return tags
}

/** The USD value in a row of `charges`, micro-USD; `undefined` for an asset without a USD price. */
export function rowToMicroUsd(row: Row): bigint | undefined {
  return row['micro_usd'] === null ? undefined : amount(row, 'micro_usd')
}

function rowToAuthorization(row: Row): AuthorizationRecord {
  return {
    from: text(row, 'from_address'),
    nonce: text(row, 'nonce'),
    validAfter: integer(row, 'valid_after'),
    validBefore: integer(row, 'valid_before'),
    ...(row['method'] === null ? {} : { method: oneOf(row, 'method', METHODS) }),
    ...(row['scheme'] === null ? {} : { scheme: oneOf(row, 'scheme', SCHEMES) }),
    ...(row['own_signature'] === null ? {} : { method: 'solana', solana: rowToSolana(row) }),
  }
}

function rowToSolana(row: Row): SolanaProof {
  return {
    signature: text(row, 'own_signature'),
    memo: text(row, 'memo'),
    blockhash: text(row, 'blockhash'),
    lastValidHeight: integer(row, 'last_valid_height'),
    slot: integer(row, 'signed_slot'),
    account: text(row, 'source_account'),
  }
}

/** The sums in a row of `totals`. */
export function rowToTotals(row: Row): Totals {
  return {
    spent: amount(row, 'spent'),
    held: amount(row, 'held'),
    authorized: amount(row, 'authorized'),
    uncertain: amount(row, 'uncertain'),
  }
}

/** A row of `totals`. */
export function rowToWindow(row: Row): BudgetWindow {
  return {
    budget: text(row, 'budget'),
    subject: text(row, 'subject'),
    window: oneOf(row, 'window', WINDOWS),
    windowStart: integer(row, 'window_start'),
    totals: rowToTotals(row),
  }
}

/** The amount in a row of `shares`. */
export function rowToAmount(row: Row): bigint {
  return amount(row, 'amount')
}

/** The state in a row of `charges`. */
export function rowToState(row: Row): ChargeState {
  return oneOf(row, 'state', STATES)
}

/** A row of `shares`. */
export function rowToShare(row: Row): Share {
  return {
    budget: text(row, 'budget'),
    subject: text(row, 'subject'),
    window: oneOf(row, 'window', WINDOWS),
    windowStart: integer(row, 'window_start'),
    amount: amount(row, 'amount'),
    ...(row['counts'] === null ? {} : { counts: oneOf(row, 'counts', COUNTS) }),
  }
}

/** A row of `flags`. */
export function rowToFlagged(row: Row): Flagged {
  return {
    charge: text(row, 'charge'),
    flag: oneOf(row, 'flag', CHARGE_FLAGS),
    detail: text(row, 'detail'),
    at: integer(row, 'at'),
  }
}

/** How many charges have a flag. */
export function rowToFlagCount(row: Row): { readonly flag: ChargeFlag; readonly count: number } {
  return { flag: oneOf(row, 'flag', CHARGE_FLAGS), count: integer(row, 'count') }
}

/** A row of `pins`. */
export function rowToPin(row: Row): Pin {
  return {
    apiBase: text(row, 'api_base'),
    network: text(row, 'network'),
    asset: text(row, 'asset'),
    payTo: text(row, 'pay_to'),
    pinnedAt: integer(row, 'pinned_at'),
  }
}

/** A row of `instances`. */
export function rowToInstance(row: Row): Instance {
  return {
    id: text(row, 'id'),
    host: text(row, 'host'),
    pid: integer(row, 'pid'),
    processStart: text(row, 'process_start'),
    startedAt: integer(row, 'started_at'),
    heartbeatAt: integer(row, 'heartbeat_at'),
  }
}

/** A column's text. @throws Error when it holds something else */
export function text(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : damaged(column)
}

/** A column's whole number. @throws Error when it holds something else */
export function integer(row: Row, column: string): number {
  const value = row[column]
  return typeof value === 'number' ? value : damaged(column)
}

/** A column's text, or `undefined` for NULL. @throws Error when it holds something else */
export function optionalText(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : text(row, column)
}

/** A column's amount. @throws Error when it holds something else */
export function amount(row: Row, column: string): bigint {
  const value = text(row, column)
  return /^[0-9]+$/.test(value) ? BigInt(value) : damaged(column)
}

/** A column's text, one of a list. @throws Error when it holds something else */
export function oneOf<T extends string>(row: Row, column: string, values: readonly T[]): T {
  return values.find((value) => value === row[column]) ?? damaged(column)
}

function damaged(column: string): never {
  throw new Error(`the ledger holds an unreadable value in ${column}: restore it from a backup`)
}

/** A row of `prices`. */
export function rowToPrice(row: Row): KnownPrice {
  return {
    apiBase: text(row, 'api_base'),
    endpoint: text(row, 'endpoint'),
    model: text(row, 'model'),
    network: text(row, 'network'),
    asset: text(row, 'asset'),
    first: amount(row, 'first'),
    pinned: amount(row, 'pinned'),
    last: amount(row, 'last'),
    updatedAt: integer(row, 'updated_at'),
  }
}

/** A row of `notices`. */
export function rowToNotice(row: Row): Notice {
  return {
    id: text(row, 'id'),
    kind: oneOf(row, 'kind', NOTICE_KINDS),
    instance: text(row, 'instance'),
    at: integer(row, 'at'),
    body: text(row, 'body'),
    attempts: integer(row, 'attempts'),
    result: optionalText(row, 'result'),
    endedAt: row['ended_at'] === null ? undefined : integer(row, 'ended_at'),
  }
}
