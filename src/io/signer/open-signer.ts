import type { SignerReference } from '../../core/payer/key-reference.ts'
import { openRemoteSigner } from './signer-remote.ts'
import { startSigner, type Signer } from './signer.ts'

/**
 * Opens the signer that a reference names.
 * @param timeoutMs longest wait for one signature
 * @throws ConfigError for a key that cannot be used, TollwayError `signer_unavailable` for a signer that does not answer
 */
export async function openSigner(reference: SignerReference, timeoutMs?: number): Promise<Signer> {
  return reference.source === 'remote'
    ? await openRemoteSigner({ signer: reference, timeoutMs })
    : await startSigner({ key: reference, timeoutMs })
}
