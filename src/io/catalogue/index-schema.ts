/** The tables of the catalogue's index. Everything in it can be read again from its sources, except the history of probes. */

/** SQLite's `application_id` of an index: no other file is ever written to. */
export const INDEX_ID = 0x746f6c63
export const INDEX_VERSION = 1

export const INDEX_TABLES = `
CREATE TABLE sources (
  name TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  address TEXT NOT NULL,
  added_at INTEGER NOT NULL,
  read_at INTEGER,
  generated_at TEXT,
  skipped INTEGER NOT NULL DEFAULT 0,
  problem TEXT,
  next_block TEXT
) STRICT;
CREATE TABLE listings (
  number INTEGER PRIMARY KEY,
  source TEXT NOT NULL REFERENCES sources (name) ON DELETE CASCADE,
  id TEXT NOT NULL,
  url TEXT,
  seen_at INTEGER NOT NULL,
  facts TEXT NOT NULL,
  UNIQUE (source, id)
) STRICT;
CREATE TABLE probes (
  number INTEGER PRIMARY KEY,
  url TEXT NOT NULL,
  method TEXT NOT NULL,
  at INTEGER NOT NULL,
  facts TEXT NOT NULL
) STRICT;
CREATE INDEX probes_of ON probes (url, method, at);
CREATE VIRTUAL TABLE words USING fts5 (name, model, intents, summary, place, tokenize = 'unicode61 remove_diacritics 2');
`
