/** Signing in at a seller that was paid before, instead of paying again (x402 v2, `sign-in-with-x`). */
import { signatureOf, vetSignIn } from '../../core/policy/vet-sign-in.ts'
import { relayedHeaders } from '../../core/request/header-policy.ts'
import { SIGN_IN } from '../../core/x402/extensions.ts'
import { encodeBase64Json } from '../../core/x402/wire-json.ts'
import type { Challenge } from '../../core/x402/x402.ts'
import type { IncomingReply, OutgoingRequest, Upstream } from '../../io/transport/upstream.ts'
import type { Clock } from '../../core/clock.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { Exchange } from '../../core/request/exchange.ts'
import type { Candidate } from '../../core/routing/route.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { LedgerUse } from '../../io/ledger/ledger-use.ts'

/** The part of a paying call that a sign-in reads. */
export interface SignInCall {
  readonly context: {
    readonly policy: { readonly signIn?: boolean | undefined }
    readonly ledger: LedgerUse<'note', 'prices'>
    readonly upstream: Pick<Upstream, 'send'>
    readonly clock: Clock
    readonly observers: readonly Observer[]
  }
  readonly exchange: Exchange
  readonly candidate: Candidate
  readonly payer: Pick<Provider, 'networks' | 'signIn'>
  /** Aborted when the client has left. */
  readonly leaving: AbortSignal
}

/** What came of it. */
export type SignedIn =
  /** The seller answered without a payment. */
  | { readonly kind: 'served'; readonly reply: IncomingReply }
  /** The seller asks for a payment anyway, with a fresh 402. */
  | { readonly kind: 'asked_again'; readonly reply: IncomingReply }
  /** Nothing was signed, or the seller did not answer it: the first 402 stands. */
  | { readonly kind: 'not_signed_in' }

const NOT_SIGNED_IN: SignedIn = { kind: 'not_signed_in' }

/**
 * Signs in where the seller offers it, the policy allows it and the seller was paid for this path before. Moves no money; the
 * exchange notes what came of it, also that it was only offered.
 */
export async function signInInstead(
  call: SignInCall,
  request: OutgoingRequest,
  challenge: Challenge,
): Promise<SignedIn> {
  const { context, exchange, payer, candidate, leaving } = call
  if (!Object.hasOwn(challenge.extensions, SIGN_IN)) return NOT_SIGNED_IN
  exchange.payment.signIn = 'offered'
  const { signIn } = payer
  if (context.policy.signIn !== true || exchange.payment.isDryRun) return NOT_SIGNED_IN
  const { apiBase } = candidate.route
  const paid = await context.ledger.store.prices(apiBase)
  if (!paid.some(({ endpoint }) => endpoint === exchange.endpoint)) return NOT_SIGNED_IN
  if (!signIn) {
    exchange.payment.signIn = 'no_signer'
    return NOT_SIGNED_IN
  }
  const url = new URL(request.url)
  const now = context.clock.now()
  const report = (result: 'accepted' | 'refused' | 'not_vetted' | 'failed'): void => {
    exchange.payment.signIn = result
    for (const observer of context.observers) observer({ type: 'sign_in', seller: url.origin, result })
  }
  const vetted = vetSignIn(challenge.extensions[SIGN_IN], {
    url,
    address: signIn.address,
    networks: payer.networks,
    now,
  })
  if ('fault' in vetted) {
    exchange.record.details['sign_in_fault'] = vetted.fault
    report('not_vetted')
    return NOT_SIGNED_IN
  }
  const { message } = vetted
  const { network, ...fields } = message
  try {
    const signature = await signIn.sign(vetted, leaving)
    // On record before it leaves, as a payment is.
    await context.ledger.note('seller.signed_in', {
      request_id: exchange.id,
      seller: url.origin,
      api_base: apiBase,
      network,
      address: message.address,
      uri: message.uri,
      nonce: message.nonce,
      expires: message.expirationTime ?? null,
    })
    const value = encodeBase64Json({
      ...fields,
      chainId: network,
      ...signatureOf(network),
      signature,
    })
    const reply = await context.upstream.send({
      ...request,
      headers: { ...request.headers, [SIGN_IN]: value },
    })
    if (reply.status >= 200 && reply.status < 300) {
      report('accepted')
      const headers = Object.fromEntries(relayedHeaders({ headers: reply.headers, kind: 'paid' }))
      return { kind: 'served', reply: { ...reply, headers } }
    }
    report('refused')
    if (reply.status === 402) return { kind: 'asked_again', reply }
    reply.body.destroy()
    return NOT_SIGNED_IN
  } catch {
    // The client's leaving is noticed by the payment that would follow.
    report('failed')
    return NOT_SIGNED_IN
  }
}
