/** Addresses that no honest seller is paid at. Money sent there is lost, whatever the configuration or a pin says. */
import { TollwayError } from '../errors.ts'
import { CHANNEL_CONTRACTS, EXACT_PROXY, PERMIT2_ADDRESS, UPTO_PROXY } from '../evm-contracts.ts'

/** Addresses without an owner, in the spelling in which payees are compared, with what each is. */
const NOBODY: ReadonlyMap<string, string> = new Map([
  [`0x${'0'.repeat(40)}`, 'the zero address'],
  [`0x${'f'.repeat(40)}`, 'a burn address'],
  [`0x${'0'.repeat(36)}dead`, 'a burn address'],
  [`0xdead${'0'.repeat(36)}`, 'a burn address'],
  [`0x${'dead'.repeat(10)}`, 'a burn address'],
  [`0x${'deadbeef'.repeat(5)}`, 'a burn address'],
  [`0x${'0'.repeat(32)}deadbeef`, 'a burn address'],
  ['0xdead000000000000000042069420694206942069', 'a burn address'],
  [`0x${'e'.repeat(40)}`, 'a placeholder for the native coin'],
  [PERMIT2_ADDRESS, 'the contract Permit2'],
  [EXACT_PROXY, "x402's own contract"],
  [UPTO_PROXY, "x402's own contract"],
  ['0xca11bde05977b3631167028862be2a173976ca11', 'the contract Multicall3'],
  ['0x4e59b44847b379578588920ca78fbf26c0b4956c', 'the CREATE2 deployer'],
  ...CHANNEL_CONTRACTS.map((contract): [string, string] => [contract, "x402's own contract"]),
  // Solana spells addresses with letter case.
  ['11111111111111111111111111111111', 'the system program'],
  ['1nc1nerator11111111111111111111111111111111', 'the incinerator'],
  ['MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr', 'the memo program'],
  ['ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL', 'the program of token accounts'],
  ['TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA', 'the token program'],
  ['TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb', 'the token program'],
])

/** The contracts of the EVM itself: 1 to 0x11, and the one for P-256 signatures at 0x100 (EIP-7951). */
const PRECOMPILE = /^0x0{37}(?:00[1-9a-f]|01[01]|100)$/

/** Solana's own programs and system accounts, which end with ones by choice: by chance one in 10^14 wallets does. */
const SOLANA_OWN = /^[1-9A-HJ-NP-Za-km-z]+1{8}$/

/**
 * What an address is that must never be paid; `undefined` for one that may.
 * @param payTo as it is compared: lower case on EVM networks
 * @param tokens the contracts of tokens, spelled alike
 * @param self the wallet that pays, any letter case; `undefined` when it is not known
 */
export function forbiddenPayee(
  payTo: string,
  tokens: readonly string[],
  self: string | undefined,
): string | undefined {
  if (tokens.includes(payTo)) return 'the contract of a token'
  if (self !== undefined && (payTo === self || payTo === self.toLowerCase())) return 'the wallet that pays'
  if (SOLANA_OWN.test(payTo) && !payTo.startsWith('0x'))
    return NOBODY.get(payTo) ?? 'an account of Solana itself'
  return PRECOMPILE.test(payTo) ? 'a contract of the EVM itself' : NOBODY.get(payTo)
}

/**
 * Refuses a signature that pays the wallet it was signed for: a pool, another program or an own payer may sign for a wallet that the
 * gate could not know.
 * @throws TollwayError `payee_not_allowed`
 */
export function refuseOwnWallet(
  { from }: { readonly from: string },
  { payTo }: { readonly payTo: string },
): void {
  if (from.toLowerCase() !== payTo.toLowerCase()) return
  throw new TollwayError({
    code: 'payee_not_allowed',
    message: 'The seller asks for payment to the paying wallet itself. Nothing was sent.',
    advice: ['Report it to the seller.'],
  })
}
