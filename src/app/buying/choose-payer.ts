/** Chooses the payer that signs and the payer that spends vouchers when the command line names none. */
import { ConfigError } from '../../core/errors.ts'
import type { ResolvedConfig, ResolvedPayer } from '../config/resolve/resolved.ts'
import { unknownName } from '../../io/names/nearest-name.ts'

type Payers = ReadonlyMap<string, ResolvedPayer>

/** Whether the payer can only pay with vouchers. */
function isPool(payer: ResolvedPayer): boolean {
  return payer.kind === 'obol' && payer.mode === 'pool'
}

/** Whether the payer can sign in advance, with its own key. */
function signsAhead(payer: ResolvedPayer): boolean {
  return payer.kind === 'direct' || (payer.kind === 'agentcash' && payer.mode === 'wallet')
}

const ADD_DIRECT =
  'Add one, such as payers: { base: { kind: direct, key: "${env:TOLLWAY_WALLET_KEY}", networks: [base-sepolia] } }.'

/**
 * The payer that pays for one request.
 * @param wanted `--payer`
 * @throws ConfigError if the choice is not clear
 */
export function payingPayer({ payers }: Pick<ResolvedConfig, 'payers'>, wanted: string | undefined): string {
  return theOne(payers, wanted, (payer) => !isPool(payer), {
    none: `No payer of the configuration can pay for a command. ${ADD_DIRECT}`,
    wrong:
      'pays with vouchers that were signed in advance, through the gateway. Choose a payer that has its own key.',
  })
}

/**
 * The payer whose key signs vouchers.
 * @param wanted `--payer`, or `filled_by` of the pool's payer
 * @throws ConfigError if the choice is not clear
 */
export function signingPayer({ payers }: Pick<ResolvedConfig, 'payers'>, wanted: string | undefined): string {
  return theOne(payers, wanted, signsAhead, {
    none: `No payer of the configuration has a key to sign with. ${ADD_DIRECT}`,
    wrong: 'cannot sign in advance. Choose a payer of kind direct, or of kind agentcash and mode wallet.',
  })
}

/**
 * The payer that spends the vouchers.
 * @param wanted `--pool`
 * @param signer the signing payer, which is used if the vouchers are only exported
 * @throws ConfigError if the choice is not clear
 */
export function spendingPayer(
  { payers }: Pick<ResolvedConfig, 'payers'>,
  wanted: string | undefined,
  signer: string | undefined,
): string {
  const fromStore = (payer: ResolvedPayer): boolean =>
    payer.kind === 'obol' && payer.mode === 'pool' && payer.paths === undefined
  if (wanted === undefined && signer !== undefined && ![...payers.values()].some(fromStore)) return signer
  return theOne(
    payers,
    wanted,
    fromStore,
    {
      none: 'No payer of the configuration spends bought vouchers. Add one: payers: { bought: { kind: obol, mode: pool } }.',
      wrong: 'does not spend bought vouchers. Name a payer of kind obol and mode pool without config.',
    },
    '--pool',
  )
}

function theOne(
  payers: Payers,
  wanted: string | undefined,
  fits: (payer: ResolvedPayer) => boolean,
  messages: { readonly none: string; readonly wrong: string },
  option = '--payer',
): string {
  if (wanted !== undefined) {
    const payer = payers.get(wanted)
    if (!payer) {
      throw new ConfigError(unknownName('payer', wanted, [...payers.keys()]))
    }
    if (!fits(payer)) throw new ConfigError(`payers.${wanted} ${messages.wrong}`)
    return wanted
  }
  const [first, ...others] = [...payers].filter(([, payer]) => fits(payer)).map(([name]) => name)
  if (first === undefined) throw new ConfigError(messages.none)
  if (others.length === 0) return first
  throw new ConfigError(
    `Several payers can do this: ${[first, ...others].join(', ')}. Name one with ${option}.`,
  )
}
