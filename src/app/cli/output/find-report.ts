/** What `tollway find` found, for people and for programs. */
import { formatUsd } from '../../../core/money/money.ts'
import type { Found, FoundAll } from '../../catalogue/find.ts'
import { listingJson, priceOf, probeJson } from './catalog-report.ts'

/** For programs. */
export function foundJson({ found, problems }: FoundAll): object {
  return {
    found: found.map(({ judgement, isAsked, differences, last, entry, ...listing }) => ({
      ...listingJson(listing),
      payable: judgement.payable,
      why: judgement.why,
      payer: judgement.payer ?? null,
      asked_now: isAsked,
      usd_now: isAsked && judgement.microUsd !== undefined ? formatUsd(judgement.microUsd) : null,
      differs_from_catalogue: differences,
      last_probe: last ? probeJson(last) : null,
      model_list_entry: entry ?? null,
    })),
    problems,
  }
}

/** For people: a paragraph each, with the route to paste. */
export function renderFound({ found, problems }: FoundAll): string {
  const notes = problems.map((problem) => `Could not ask ${problem}.\n`)
  if (found.length === 0)
    return `${notes.join('')}Nothing in the catalogue fits. Add what sellers list: tollway catalog add pay.sh, or the address of a seller.\n`
  return [...notes, ...found.map(render)].join('\n')
}

const PAYABLE = { yes: 'yes', no: 'NO', unknown: 'not known' } as const

function render(one: Found): string {
  const { source, listing, judgement, isAsked, differences, last, entry } = one
  const { payable, why, microUsd } = judgement
  const asked = isAsked && microUsd !== undefined ? `$${formatUsd(microUsd)}` : undefined
  const before =
    isAsked || !last
      ? undefined
      : `${last.usd === undefined ? 'no price' : `$${last.usd}`}, ${new Date(last.at).toISOString()}`
  const facts: readonly (readonly [string, string | undefined])[] = [
    [
      'sold by',
      listing.url === undefined ? listing.service : `${listing.method ?? ''} ${listing.url}`.trim(),
    ],
    ['listed in', `${source}/${listing.id}`],
    ['listed price', priceOf(listing)],
    ['asks now', asked],
    ['asked last', before],
    ['payable', `${PAYABLE[payable]}. ${why}`],
    ...differences.map((difference) => ['DIFFERS', difference] as const),
  ]
  const lines = facts.flatMap(([name, text]) =>
    text === undefined || text === '' ? [] : [`  ${name.padEnd(13)}${text}\n`],
  )
  const route = entry === undefined ? '' : `  proposed route, to check and paste:\n${indented(entry)}`
  return `${listing.model ?? listing.name}\n${lines.join('')}${route}`
}

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '    ')
}
