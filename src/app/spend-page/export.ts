/** Exports the charges of a filter as a file, page by page: any number of charges in constant memory. */
import { Readable } from 'node:stream'
import { stringify } from 'csv-stringify'
import type { Charge } from '../../core/charge/charge.ts'
import type { ChargeFilter, ChargeStore } from '../../io/store/contracts/charges.ts'
import { CHARGE_COLUMNS, chargeJson } from './charge-json.ts'
import type { ExplorerLink } from './explorers.ts'

const PAGE = 500

/** The source of an export. */
export interface ExportSource {
  readonly store: Pick<ChargeStore, 'charges'>
  readonly filter: ChargeFilter
  readonly link: ExplorerLink
}

/**
 * CSV according to RFC 4180. Names of models and callers are not trusted: a value that a spreadsheet would run as
 * a formula gets a leading quote.
 */
export function chargesCsv(source: ExportSource): Readable {
  const rows = Readable.from(chargesOf(source), { objectMode: true })
  const csv = stringify({
    header: true,
    columns: [...CHARGE_COLUMNS],
    escape_formulas: true,
    record_delimiter: 'windows',
  })
  rows.on('error', (error) => csv.destroy(error))
  csv.on('close', () => rows.destroy())
  return rows.pipe(csv)
}

/** `{"charges":[...]}`, one charge per line. */
export function chargesJsonFile(source: ExportSource): Readable {
  return Readable.from(jsonLines(source))
}

async function* jsonLines(source: ExportSource): AsyncGenerator<string> {
  yield '{"charges":['
  let separator = '\n'
  for await (const charge of chargesOf(source)) {
    yield separator + JSON.stringify(charge)
    separator = ',\n'
  }
  yield '\n]}\n'
}

async function* chargesOf({
  store,
  filter,
  link,
}: ExportSource): AsyncGenerator<ReturnType<typeof chargeJson>> {
  let before: Charge | undefined
  do {
    const page: Charge[] = await store.charges({ ...filter, before, limit: PAGE })
    for (const charge of page) yield chargeJson(charge, link)
    before = page.length < PAGE ? undefined : page.at(-1)
  } while (before)
}
