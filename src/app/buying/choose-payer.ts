/** Which payer signs, and which spends what it signed ahead, when the command line does not say. */
import { ConfigError } from '../../core/errors.ts'
import type { ResolvedConfig, ResolvedPayer } from '../config/resolve/resolved.ts'
import { unknownName } from '../../io/names/nearest-name.ts'

type Payers = ReadonlyMap<string, ResolvedPayer>

/** Whether vouchers are the only way it pays. */
function isPool(payer: ResolvedPayer): boolean {
  return payer.kind === 'obol' && payer.mode === 'pool'
}

/** Whether a payer can sign ahead: with a key that it uses by itself. */
function signsAhead(payer: ResolvedPayer): boolean {
  return payer.kind === 'direct' || (payer.kind === 'agentcash' && payer.mode === 'wallet')
}

/**
 * The payer that pays for one request.
 * @param wanted `--payer`
 * @throws ConfigError when it is not clear
 */
export function payingPayer({ payers }: Pick<ResolvedConfig, 'payers'>, wanted: string | undefined): string {
  return theOne(payers, wanted, (payer) => !isPool(payer), {
    none: 'No payer of the configuration pays by itself. Add one, such as payers: { base: { kind: direct, … } }.',
    wrong:
      'pays with vouchers that were signed in advance, through the gateway. Choose a payer that signs by itself.',
  })
}

/**
 * The payer whose key signs vouchers.
 * @param wanted `--payer`, or what the pool's payer names as `filled_by`
 * @throws ConfigError when it is not clear
 */
export function signingPayer({ payers }: Pick<ResolvedConfig, 'payers'>, wanted: string | undefined): string {
  return theOne(payers, wanted, signsAhead, {
    none: 'No payer of the configuration has a key to sign with. Add one, such as payers: { base: { kind: direct, … } }.',
    wrong: 'cannot sign in advance. Choose a payer of kind direct, or of kind agentcash and mode wallet.',
  })
}

/**
 * The payer that spends the vouchers.
 * @param wanted `--pool`
 * @param signer who signs; takes its place where vouchers are only handed over
 * @throws ConfigError when it is not clear
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
  words: { readonly none: string; readonly wrong: string },
  option = '--payer',
): string {
  if (wanted !== undefined) {
    const payer = payers.get(wanted)
    if (!payer) {
      throw new ConfigError(unknownName('payer', wanted, [...payers.keys()]))
    }
    if (!fits(payer)) throw new ConfigError(`payers.${wanted} ${words.wrong}`)
    return wanted
  }
  const [first, ...others] = [...payers].filter(([, payer]) => fits(payer)).map(([name]) => name)
  if (first === undefined) throw new ConfigError(words.none)
  if (others.length === 0) return first
  throw new ConfigError(
    `Several payers can do this: ${[first, ...others].join(', ')}. Name one with ${option}.`,
  )
}
