/** The local index of what catalogues list: full-text search, freshness, and the history of probes. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Listing } from '../../core/catalogue/listing.ts'
import { ConfigError } from '../../core/errors.ts'
import type { CatalogueSource, IndexedListing, ProbeRecord } from './indexed.ts'
import { INDEX_ID, INDEX_TABLES, INDEX_VERSION } from './index-schema.ts'
import { factsJson, listingOf, probeOf, sourceOf } from './index-rows.ts'
import { searchQueries } from './search-query.ts'

/** What the last reading of a source gave. */
export interface ReadResult {
  readonly listings: readonly Listing[]
  readonly skipped: number
  readonly generatedAt: string | undefined
  /** Beginnings of the ids that these listings replace; every listing of the source by default. */
  readonly replaces?: readonly string[] | undefined
  readonly nextBlock?: bigint | undefined
}

/** How much of the history of one address is kept. */
const MAX_PROBES = 50
const BUSY_MS = 5000
/** How the columns of `words` count: name, model, intents, summary, place. */
const WEIGHTS = '8.0, 10.0, 5.0, 2.0, 1.0'

/** An open index. Close it. */
export class CatalogueIndex {
  readonly #db: DatabaseSync

  /**
   * Opens the file, or makes it.
   * @throws ConfigError for a file that is no index
   */
  constructor(path: string) {
    this.#db = open(path)
  }

  close(): void {
    this.#db.close()
  }

  /** Adds a source, or changes where a known one is. */
  addSource({ name, kind, address }: Pick<CatalogueSource, 'name' | 'kind' | 'address'>, now: number): void {
    this.#db
      .prepare(
        `INSERT INTO sources (name, kind, address, added_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, address = excluded.address, next_block = NULL`,
      )
      .run(name, kind, address, now)
  }

  /** @returns whether there was one */
  removeSource(name: string): boolean {
    return this.#inOne(() => {
      this.#forgetListings(name)
      return this.#db.prepare('DELETE FROM sources WHERE name = ?').run(name).changes > 0
    })
  }

  /** In alphabetical order. */
  sources(): CatalogueSource[] {
    return this.#db
      .prepare(
        `SELECT sources.*, (SELECT count(*) FROM listings WHERE source = sources.name) AS listings
         FROM sources ORDER BY name`,
      )
      .all()
      .map(sourceOf)
  }

  /** Keeps what a source lists now. The listings of before are forgotten, unless these are added to them. */
  store(source: string, read: ReadResult, now: number): void {
    this.#inOne(() => {
      if (read.replaces === undefined) this.#forgetListings(source)
      for (const start of read.replaces ?? []) this.#forgetStarting(source, start)
      for (const listing of read.listings) this.#put(source, listing, now)
      this.#db
        .prepare(
          'UPDATE sources SET read_at = ?, generated_at = ?, skipped = ?, problem = NULL, next_block = ? WHERE name = ?',
        )
        .run(now, read.generatedAt ?? null, read.skipped, read.nextBlock?.toString() ?? null, source)
    })
  }

  /** Adds listings to those of a source, as the answer of a search does. The source grows no younger by it. */
  add(source: string, listings: readonly Listing[], now: number): void {
    this.#inOne(() => {
      for (const listing of listings) this.#put(source, listing, now)
    })
  }

  /** Notes that a source could not be read. Its listings stay, and grow old. */
  fail(source: string, problem: string): void {
    this.#db.prepare('UPDATE sources SET problem = ? WHERE name = ?').run(problem, source)
  }

  /** The listings that fit the words, the best first. Where none has every word, those with any. */
  search(text: string, limit: number, source?: string): IndexedListing[] {
    for (const query of searchQueries(text)) {
      const rows = this.#db
        .prepare(
          `SELECT listings.* FROM words JOIN listings ON listings.number = words.rowid
           WHERE words MATCH ? AND (? IS NULL OR listings.source = ?)
           ORDER BY bm25(words, ${WEIGHTS}), listings.number LIMIT ?`,
        )
        .all(query, source ?? null, source ?? null, limit)
      if (rows.length > 0) return rows.map(listingOf)
    }
    return []
  }

  /** All listings of a source, or of every source, by service. */
  all(limit: number, source?: string): IndexedListing[] {
    return this.#db
      .prepare(
        `SELECT * FROM listings WHERE (? IS NULL OR source = ?)
         ORDER BY source, json_extract(facts, '$.service'), number LIMIT ?`,
      )
      .all(source ?? null, source ?? null, limit)
      .map(listingOf)
  }

  /** A listing by its source and id. */
  find(source: string, id: string): IndexedListing | undefined {
    const row = this.#db.prepare('SELECT * FROM listings WHERE source = ? AND id = ?').get(source, id)
    return row && listingOf(row)
  }

  /** Listings that name an address, of every source. */
  at(url: string): IndexedListing[] {
    return this.#db.prepare('SELECT * FROM listings WHERE url = ?').all(url).map(listingOf)
  }

  /** Keeps what a probe found; the oldest of the address go. */
  noteProbe(url: string, method: string, probe: ProbeRecord): void {
    this.#inOne(() => {
      const { at, ...facts } = probe
      this.#db
        .prepare('INSERT INTO probes (url, method, at, facts) VALUES (?, ?, ?, ?)')
        .run(url, method, at, factsJson(facts))
      this.#db
        .prepare(
          `DELETE FROM probes WHERE url = ?1 AND method = ?2 AND number NOT IN
           (SELECT number FROM probes WHERE url = ?1 AND method = ?2 ORDER BY at DESC, number DESC LIMIT ?3)`,
        )
        .run(url, method, MAX_PROBES)
    })
  }

  /** The history of an address, the newest first. */
  probes(url: string, method: string): ProbeRecord[] {
    return this.#db
      .prepare('SELECT at, facts FROM probes WHERE url = ? AND method = ? ORDER BY at DESC, number DESC')
      .all(url, method)
      .map(probeOf)
  }

  #put(source: string, listing: Listing, now: number): void {
    const { id, url, name, model, words, summary, service } = listing
    this.#forget(this.#db.prepare('SELECT number FROM listings WHERE source = ? AND id = ?').all(source, id))
    const { lastInsertRowid } = this.#db
      .prepare('INSERT INTO listings (source, id, url, seen_at, facts) VALUES (?, ?, ?, ?, ?)')
      .run(source, id, url ?? null, now, factsJson(listing))
    this.#db
      .prepare('INSERT INTO words (rowid, name, model, intents, summary, place) VALUES (?, ?, ?, ?, ?, ?)')
      .run(
        lastInsertRowid,
        `${name} ${service}`,
        model ?? '',
        words.join(' '),
        summary,
        url === undefined ? '' : `${new URL(url).host} ${new URL(url).pathname}`,
      )
  }

  #forgetStarting(source: string, start: string): void {
    const found = this.#db.prepare('SELECT number FROM listings WHERE source = ? AND substr(id, 1, ?) = ?')
    this.#forget(found.all(source, start.length, start))
  }

  #forgetListings(source: string): void {
    this.#forget(this.#db.prepare('SELECT number FROM listings WHERE source = ?').all(source))
  }

  #forget(rows: readonly Readonly<Record<string, unknown>>[]): void {
    for (const { number } of rows) {
      this.#db.prepare('DELETE FROM words WHERE rowid = ?').run(Number(number))
      this.#db.prepare('DELETE FROM listings WHERE number = ?').run(Number(number))
    }
  }

  #inOne<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }
}

function open(path: string): DatabaseSync {
  if (path !== ':memory:' && !existsSync(dirname(path)))
    throw new ConfigError(
      `The directory of the catalogue's index ${path} does not exist. Create it, or name another with --index.`,
    )
  const db = new DatabaseSync(path)
  try {
    db.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA foreign_keys = ON`)
    make(db, path)
    return db
  } catch (cause) {
    db.close()
    if (cause instanceof ConfigError) throw cause
    const reason = cause instanceof Error ? cause.message : 'unknown'
    throw new ConfigError(
      `The catalogue's index ${path} cannot be opened (${reason}). Name another file with --index.`,
      {
        cause,
      },
    )
  }
}

/** Makes the tables of a new file. A file with other contents, a ledger for example, is left as it is. */
function make(db: DatabaseSync, path: string): void {
  const numberOf = (pragma: string): number =>
    Number(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0])
  db.exec('BEGIN IMMEDIATE')
  try {
    const isNew = Number(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n']) === 0
    if (isNew)
      db.exec(`${INDEX_TABLES} PRAGMA application_id = ${INDEX_ID}; PRAGMA user_version = ${INDEX_VERSION}`)
    else if (numberOf('application_id') !== INDEX_ID)
      throw new ConfigError(`${path} is not an index of catalogues. Name another file with --index.`)
    else if (numberOf('user_version') !== INDEX_VERSION)
      throw new ConfigError(
        `The catalogue's index ${path} was made by another version of Tollway. Delete it and add its sources again.`,
      )
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}
