import type { Variables } from './variables.ts'

/** Where a secret is kept. Only the thread that needs the secret reads it. */
export type SecretReference =
  /** `variables`: where the name is looked up instead of in the environment of the process. */
  | { readonly source: 'env'; readonly name: string; readonly variables?: Variables | undefined }
  | { readonly source: 'file'; readonly path: string }
  /** A credential of the service: the file of this name in `$CREDENTIALS_DIRECTORY`. */
  | { readonly source: 'credential'; readonly name: string; readonly variables?: Variables | undefined }

/** Where a private key is kept. The key itself is never part of an option, so options may be logged and compared (rule 8). */
export type KeyReference =
  | SecretReference
  /** An encrypted keystore (Web3 Secret Storage, version 3), and where its password is. */
  | { readonly source: 'keystore'; readonly path: string; readonly password: SecretReference }
  /** The wallet file of AgentCash: JSON with `privateKey` and `address`. */
  | { readonly source: 'agentcash'; readonly path: string }

/** A signer that holds its keys elsewhere and is called over HTTP (Obol's remote signer). */
export interface RemoteSignerReference {
  readonly source: 'remote'
  /** Its base address, e.g. `http://127.0.0.1:9000`. */
  readonly url: string
  /** Sent as a bearer token; never logged. */
  readonly token?: string | undefined
  /** The address that pays; without it the signer must have exactly one key. */
  readonly address?: string | undefined
}

/** Anything that a payer can be configured to sign with. */
export type SignerReference = KeyReference | RemoteSignerReference
