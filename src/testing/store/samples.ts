/** Charges, claims and processes to try a store with. */
import type { Claim } from '../../core/budget/budget.ts'
import type { AuthorizationRecord, ChargeTerms } from '../../core/charge/charge.ts'
import type { Instance } from '../../io/store/contracts/instances.ts'

export const NOW = Date.parse('2026-11-21T10:00:00.000Z')
export const DAY = Date.parse('2026-11-21T00:00:00.000Z')
export const LEASE_MS = 30_000

/** Terms of the nth charge, all fields filled. */
export function terms(n: number, changes: Partial<ChargeTerms> = {}): ChargeTerms {
  return {
    id: `chg_${String(n).padStart(24, '0')}`,
    instance: 'ins_one',
    requestId: `req-${n}`,
    caller: 'openclaw',
    model: 'paid/qwen',
    remoteModel: 'qwen',
    tags: ['agent:coder', 'red'],
    route: 'paid/*',
    payer: 'base',
    seller: 'https://seller.example.com',
    apiBase: 'https://seller.example.com/v1',
    network: 'eip155:84532',
    asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
    symbol: 'USDC',
    decimals: 6,
    payTo: '0x00000000000000000000000000000000000000aa',
    amount: 23_000n,
    microUsd: 23_000n,
    reservedAt: NOW + n,
    leaseUntil: NOW + n + LEASE_MS,
    ...changes,
  }
}

/** A share of the daily budget `all`. */
export function claim(amount: bigint, limit: bigint, changes: Partial<Claim> = {}): Claim {
  return {
    budget: 'all',
    subject: '*',
    window: 'day',
    windowStart: DAY,
    windowEnd: DAY + 86_400_000,
    limit,
    amount,
    ...changes,
  }
}

/** What was signed for the nth charge. */
export function signed(n: number, changes: Partial<AuthorizationRecord> = {}): AuthorizationRecord {
  return {
    from: '0x00000000000000000000000000000000000000bb',
    nonce: `0x${n.toString(16).padStart(64, '0')}`,
    validAfter: 0,
    validBefore: Math.floor(NOW / 1000) + 300,
    ...changes,
  }
}

export function instance(id: string, changes: Partial<Instance> = {}): Instance {
  return { id, host: 'box', pid: 1, processStart: '7', startedAt: NOW, heartbeatAt: NOW, ...changes }
}
