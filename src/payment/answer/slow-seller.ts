/** What helps with sellers that are slow: official ones send nothing before the whole answer is made and the payment settled. */
export const SLOW_SELLER: readonly string[] = [
  'If the seller is slow, raise timeouts.first_byte_seconds of the route, and set always_stream (it may begin sooner) or early_keepalive (clients hear from the gateway while they wait).',
]
