/** Removes a key from the environment once, without reading it on the main thread. */
import { ConfigError } from '../../core/errors.ts'

/**
 * Marks a variable as taken, in the environment itself: the environment belongs to the whole process, so two gateways in it
 * must see each other's claims, and so must child processes that inherit it.
 */
const MARK_PREFIX = 'TOLLWAY_TAKEN_'

/** What a variable holds, for messages. */
export type KeyText = 'private key' | 'keystore password'

/** A variable being taken. */
export interface VariableClaim {
  /**
   * Removes the variable if it is still there, whether the worker took it or failed.
   * @param address of the key that the worker took; `undefined` when it failed
   */
  finish(address?: string): void
  /** Notes that the signer was closed: the key is gone, and the variable may be set and taken again. */
  closed(): void
}

/**
 * Claims a variable for one signer. Its value is never read here; only the worker reads it.
 * @param holds what it contains, for messages
 * @throws ConfigError when it is not set, or another signer has taken it
 */
export function claimVariable(name: string, holds: KeyText = 'private key'): VariableClaim {
  const mark = `${MARK_PREFIX}${name}`
  const isSet = name in process.env
  const taken = process.env[mark]
  // Set again after it was taken: a new key, free to be claimed. Still being taken: not free.
  if (taken === 'now' || (taken !== undefined && !isSet)) {
    throw new ConfigError(
      `The ${holds} in the environment variable ${name} was already taken by ${ownerOf(taken)}: ` +
        `a ${holds === 'private key' ? 'key' : holds} is removed from the environment when its signer starts. ` +
        'Use one payer for all routes that share the key, or give each payer its own variable or a key file. ' +
        `To open it again in this process, set process.env.${name} again before.`,
    )
  }
  if (!isSet) throw notSet(name, holds)
  process.env[mark] = 'now'
  let own: string | undefined
  return {
    finish(address = '') {
      delete process.env[name]
      process.env[mark] = `open ${address}`
      own = process.env[mark]
    },
    closed() {
      // Another signer may have taken it since, after it was set again.
      if (own !== undefined && process.env[mark] === own) process.env[mark] = own.replace('open', 'closed')
    },
  }
}

/** The error for a variable that is not there. */
export function notSet(name: string, holds: KeyText): ConfigError {
  return new ConfigError(
    holds === 'private key'
      ? `The environment variable ${name} is not set. Set it to the private key (0x and 64 hex digits), or name a key file.`
      : `The environment variable ${name} is not set. Set it to the ${holds}, or name a file that holds it.`,
  )
}

/** The signer that took a variable, which is therefore not set; `undefined` for a variable that none took. */
export function takenBy(name: string): string | undefined {
  const mark = process.env[`${MARK_PREFIX}${name}`]
  return mark === undefined ? undefined : ownerOf(mark)
}

/** Who took a variable, from its mark. */
function ownerOf(mark: string): string {
  const [state, address = ''] = mark.split(' ')
  if (state === 'now') return 'another signer of this process, which is starting now'
  const which =
    address === ''
      ? 'another signer of this process, which failed'
      : `the signer of ${address} in this process`
  return address === '' ? which : `${which}, which is ${state === 'closed' ? 'closed' : 'still open'}`
}
