import type { AllowedPayees } from '../../../core/policy/payees.ts'
import type { Asset } from '../../../core/money/assets.ts'
import type { BudgetRule } from '../../../core/budget/budget.ts'
import type { KeyReference, SignerReference } from '../../../core/payer/key-reference.ts'
import type { Strategy } from '../../../core/routing/route-order.ts'
import type { FallbackMap, Route } from '../../../core/routing/route.ts'
import type { ConfigFingerprint } from '../reading/fingerprint.ts'
import type { LitellmNote } from '../litellm/note.ts'
import type { ListenAddress } from '../values/addresses.ts'
import type { ResolvedExternalPayer } from './resolve-external.ts'
import type { ResolvedObolPool } from './resolve-obol.ts'

/** A client that may use the gateway. */
export interface ResolvedCaller {
  readonly id: string
  /** SHA-256 of the bearer key, lower-case hex. */
  readonly keyDigest: string
  /** Exact names or patterns with one `*`. */
  readonly models: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
  readonly requestsPerMinute?: number | undefined
  readonly tokensPerMinute?: number | undefined
  readonly maxParallel?: number | undefined
  readonly team?: string | undefined
}

/** How routes are chosen. */
export interface ResolvedRouter {
  readonly contextWindowFallbacks: FallbackMap
  readonly contentPolicyFallbacks: FallbackMap
  readonly aliases: ReadonlyMap<string, string>
  readonly strategy: Strategy
  readonly numRetries: number
  /** Milliseconds; 0 for never. */
  readonly cooldownMs: number
  readonly allowedFails: number
  /** Milliseconds; 0 for not at all. */
  readonly sessionMs: number
  /** Lower case. */
  readonly sessionHeaders: readonly string[]
}

/** A payer that signs with its own key or through a remote signer. */
export interface ResolvedDirectPayer {
  readonly kind: 'direct'
  readonly key: SignerReference
  /** CAIP-2 ids, without repetition. */
  readonly networks: readonly string[]
}

/** A payer that signs on Solana with a key. */
export interface ResolvedSolanaPayer {
  readonly kind: 'solana'
  readonly key: KeyReference
  /** CAIP-2 ids, without repetition. */
  readonly networks: readonly string[]
}

/** An entry of `payers`. Every kind names the networks it may pay on. */
export type ResolvedPayer =
  | ResolvedDirectPayer
  | ResolvedSolanaPayer
  | ResolvedExternalPayer
  | ResolvedObolPool

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
  /** How long the gateway serves on after a stop signal while readiness answers 503. */
  readonly drainMs: number
  readonly shutdownMs: number
}

/** The log level, by pino's names. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/** The audit file. */
export interface ResolvedAudit {
  /** Absolute. */
  readonly path: string
  /** PKCS #8 in PEM: never shown. */
  readonly signingKey?: string | undefined
  /** Records. */
  readonly checkpointEvery?: number | undefined
  /** Bytes. */
  readonly rotateBytes?: number | undefined
  readonly rotateDaily?: boolean | undefined
  /** Files. */
  readonly retain?: number | undefined
  /** Bytes that must be free on the disks of audit file and ledger; default 0. */
  readonly minFree?: number | undefined
}

/** A configuration that passed every check, in our units. Frozen. Holds no wallet key and no caller key. */
export interface ResolvedConfig {
  /** Digests of what it says, to compare it with another. */
  readonly fingerprint: ConfigFingerprint
  /** Keys of a LiteLLM file that have no effect here, as paths of the file. */
  readonly ignoredKeys: readonly string[]
  /** What works differently here than in LiteLLM: dropped limits, skipped entries, placeholder keys. */
  readonly litellmNotes: readonly LitellmNote[]
  readonly listen: ListenAddress
  /** `memory`, `sqlite:` and an absolute path, or the address of a Postgres database, which may hold a password. */
  readonly store: string
  readonly upstream:
    | {
        /** Without a trailing slash. */
        readonly apiBase: string
        readonly apiKey: string | undefined
        /** Its name in metrics and traces; default its host. */
        readonly provider?: string | undefined
        readonly allowPaths: readonly string[]
      }
    | undefined
  readonly callers: readonly ResolvedCaller[]
  /** The file of `tollway keys`; absolute path. */
  readonly keys: { readonly path: string } | undefined
  readonly payers: ReadonlyMap<string, ResolvedPayer>
  /** The User-Agent that commands send for a payer, by its name; routes have their own. */
  readonly userAgents?: ReadonlyMap<string, string> | undefined
  readonly routes: readonly Route[]
  readonly router: ResolvedRouter
  /** Model name or pattern to the models tried after its own candidates. */
  readonly fallbacks: ReadonlyMap<string, readonly string[]>
  readonly budgets: readonly BudgetRule[]
  /** The webhook that is told of budgets. */
  readonly notify:
    | {
        /** May hold a secret: never shown. */
        readonly url: string
        readonly secret: string
        /** Where the spend page is, for links. */
        readonly page: string | undefined
        /** Shares of a limit, millionths, ascending. */
        readonly levels: readonly bigint[]
      }
    | undefined
  readonly tags: {
    /** Lower case. */
    readonly header: string
    readonly declared: readonly string[]
    /** Kinds whose tags need no declaration. */
    readonly open: readonly string[]
  }
  readonly policy: {
    /** Micro-USD, inclusive; or `none`. */
    readonly maxMicroUsd: bigint | 'none'
    readonly maxValiditySeconds: number
    /** Millionths above the pinned price; `undefined` for no limit. */
    readonly maxPriceChange: bigint | undefined
    /** Which of several acceptable offers is paid. */
    readonly offerOrder: 'cheapest' | 'seller'
    /** Seller origin to the addresses it may be paid at, lower case. */
    readonly signIn: boolean
    readonly terms: 'remember' | 'ask'
    readonly onChangedTerms: 'fail' | 'pay_again'
    readonly payTo: ReadonlyMap<string, AllowedPayees>
  }
  /** Calls that wait for a person; without it none does. */
  readonly approval:
    | {
        /** Micro-USD: a call that may cost more. */
        readonly aboveMicroUsd: bigint
        readonly waitMs: number
      }
    | undefined
  /** Whether paid sellers must be on the public internet. */
  readonly blockPrivateNetworks: boolean
  /** The built-in assets and the configured ones. */
  readonly assets: readonly Asset[]
  /** By CAIP-2 id. */
  readonly chains: ReadonlyMap<string, ResolvedChain>
  readonly reconcile: { readonly intervalMs: number }
  readonly audit: ResolvedAudit
  readonly log: { readonly level: LogLevel; readonly format: 'json' | 'text' }
  readonly metrics: {
    /** SHA-256 of the token, lower-case hex. */
    readonly tokenDigest: string | undefined
    /** Their own listen address, if they are not served at the gateway's. */
    readonly listen: ListenAddress | undefined
  }
  readonly stream: {
    /** 0 for none. */
    readonly keepaliveMs: number
    readonly onDisconnect: 'abort' | 'drain'
    readonly onTruncated: 'length' | 'error'
  }
  readonly timeouts: ResolvedTimeouts
  /** Bytes. */
  readonly bodyLimit: number
  /** Limits on the answers kept for repeated requests. */
  readonly idempotency: { readonly maxEntries: number; readonly maxBytes: number }
  /** By CAIP-2 id: an address with `{tx}`, or `undefined` for no link. */
  readonly explorers: ReadonlyMap<string, string | undefined>
  readonly admin: {
    /** SHA-256 of the admin key, lower-case hex. */
    readonly keyDigest: string | undefined
    /** Lower case, without ports; IPv6 in brackets, as in a `Host` header. */
    readonly hosts: readonly string[]
  }
}
