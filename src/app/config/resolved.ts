import type { Asset } from '../../core/assets.ts'
import type { BudgetRule } from '../../core/budget.ts'
import type { KeyReference } from '../../core/key-reference.ts'
import type { Route } from '../../core/route.ts'
import type { ListenAddress } from './addresses.ts'

/** Somebody who may use the gateway. */
export interface ResolvedCaller {
  readonly id: string
  /** SHA-256 of the bearer key, lower-case hex. */
  readonly keyDigest: string
  /** Exact names or patterns with one `*`. */
  readonly models: readonly string[]
}

/** A payer that signs with a key. */
export interface ResolvedDirectPayer {
  readonly kind: 'direct'
  readonly key: KeyReference
  /** CAIP-2 ids, without repetition. */
  readonly networks: readonly string[]
}

/** An entry of `payers`. Every kind names the networks it may pay on. */
export type ResolvedPayer = ResolvedDirectPayer

/** How a network is read. */
export interface ResolvedChain {
  /** May hold a key: never shown. */
  readonly rpc: string
  readonly finality: 'finalized' | 'safe'
}

/** Durations, milliseconds. */
export interface ResolvedTimeouts {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly idleMs: number
  readonly totalMs: number
  readonly shutdownMs: number
}

/** A configuration that passed every check, in our units. Frozen. Holds no wallet key and no caller key. */
export interface ResolvedConfig {
  readonly listen: ListenAddress
  /** `memory`, or `sqlite:` and an absolute path. */
  readonly store: string
  readonly upstream:
    | {
        /** Without a trailing slash. */
        readonly apiBase: string
        readonly apiKey: string | undefined
        readonly allowPaths: readonly string[]
      }
    | undefined
  readonly callers: readonly ResolvedCaller[]
  readonly payers: ReadonlyMap<string, ResolvedPayer>
  readonly routes: readonly Route[]
  /** Model name or pattern to the models tried after its own candidates. */
  readonly fallbacks: ReadonlyMap<string, readonly string[]>
  readonly budgets: readonly BudgetRule[]
  readonly tags: {
    /** Lower case. */
    readonly header: string
    readonly declared: readonly string[]
  }
  readonly policy: {
    /** Micro-USD, inclusive. */
    readonly maxMicroUsd: bigint
    readonly maxValiditySeconds: number
    /** Millionths above the pinned price; `undefined` for no limit. */
    readonly maxPriceChange: bigint | undefined
    /** Seller origin to the addresses it may be paid at, lower case. */
    readonly payTo: ReadonlyMap<string, readonly string[]>
  }
  /** Whether paid sellers must be on the public internet. */
  readonly blockPrivateNetworks: boolean
  /** The built-in assets and the configured ones. */
  readonly assets: readonly Asset[]
  /** By CAIP-2 id. */
  readonly chains: ReadonlyMap<string, ResolvedChain>
  readonly reconcile: { readonly intervalMs: number }
  /** Absolute path. */
  readonly audit: { readonly path: string }
  readonly stream: { readonly onDisconnect: 'abort' | 'drain' }
  readonly timeouts: ResolvedTimeouts
  /** Bytes. */
  readonly bodyLimit: number
  /** Answers kept for requests that come again. */
  readonly idempotency: { readonly maxEntries: number; readonly maxBytes: number }
  readonly admin: {
    /** SHA-256 of the admin key, lower-case hex. */
    readonly keyDigest: string | undefined
    /** Lower case, without ports; IPv6 in brackets, as in a `Host` header. */
    readonly hosts: readonly string[]
  }
}
