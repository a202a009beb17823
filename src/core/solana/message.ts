/**
 * Solana messages, legacy and version 0 without lookup tables: the bytes that are signed. Accounts are ordered as in
 * `@solana/kit`, so that both build the same bytes for the same payment.
 */
import { addressBytes } from './address.ts'
import { encodeCompactU16 } from './compact-u16.ts'
import { concatBytes } from './token-account.ts'

/** An account that an instruction uses. */
export interface AccountUse {
  readonly address: string
  readonly signer: boolean
  readonly writable: boolean
}

/** A call of a program. */
export interface Instruction {
  readonly program: string
  readonly accounts: readonly AccountUse[]
  readonly data: Uint8Array
}

/** A message before it is encoded. */
export interface Message {
  readonly version: 'legacy' | 0
  /** Signs first and pays the fee. */
  readonly feePayer: string
  readonly blockhash: string
  readonly instructions: readonly Instruction[]
}

const VERSION_0 = 0x80
/** An index into the accounts is one byte. */
const MAX_ACCOUNTS = 256

/** Accounts with the same roles are ordered by address as in kit: by text collation, not by bytes. */
const collator = new Intl.Collator('en', {
  caseFirst: 'lower',
  ignorePunctuation: false,
  localeMatcher: 'best fit',
  numeric: false,
  sensitivity: 'variant',
  usage: 'sort',
})

/**
 * The bytes of a message.
 * @throws RangeError for an invalid address, or more accounts than a message can have
 */
export function encodeMessage(message: Message): Uint8Array {
  const accounts = orderedAccounts(message)
  const indexOf = new Map(accounts.map(({ address }, index) => [address, index]))
  const at = (address: string): number => indexOf.get(address) ?? 0
  const instructions = message.instructions.map(({ program, accounts: used, data }) =>
    concatBytes([
      Uint8Array.of(at(program)),
      encodeCompactU16(used.length),
      Uint8Array.from(used, ({ address }) => at(address)),
      encodeCompactU16(data.length),
      data,
    ]),
  )
  const count = (wanted: (account: AccountUse) => boolean): number => accounts.filter(wanted).length
  const body = [
    Uint8Array.of(
      count(({ signer }) => signer),
      count(({ signer, writable }) => signer && !writable),
      count(({ signer, writable }) => !signer && !writable),
    ),
    encodeCompactU16(accounts.length),
    ...accounts.map(({ address }) => addressBytes(address)),
    addressBytes(message.blockhash),
    encodeCompactU16(instructions.length),
    ...instructions,
  ]
  return message.version === 0
    ? concatBytes([Uint8Array.of(VERSION_0), ...body, encodeCompactU16(0)])
    : concatBytes(body)
}

/** The fee payer first, then signers before others, writable before read-only, then by address. Each address once, with all its roles. */
function orderedAccounts({ feePayer, instructions }: Message): readonly AccountUse[] {
  const roles = new Map<string, AccountUse>()
  const add = (use: AccountUse): void => {
    const known = roles.get(use.address)
    roles.set(use.address, {
      address: use.address,
      signer: use.signer || known?.signer === true,
      writable: use.writable || known?.writable === true,
    })
  }
  for (const { program, accounts } of instructions) {
    add({ address: program, signer: false, writable: false })
    for (const use of accounts) add(use)
  }
  add({ address: feePayer, signer: true, writable: true })
  if (roles.size > MAX_ACCOUNTS) throw new RangeError('a message has at most 256 accounts')
  const rank = ({ address, signer, writable }: AccountUse): number => {
    if (address === feePayer) return 0
    return (signer ? 1 : 3) + (writable ? 0 : 1)
  }
  return [...roles.values()].toSorted(
    (one, other) => rank(one) - rank(other) || collator.compare(one.address, other.address),
  )
}
