/** Columns that hold amounts of money. */

/** A column with an amount. */
export function amountColumn(column: string): string {
  return `${column} TEXT NOT NULL CHECK (${isPlainNumber(column)})`
}

/** The condition that a column's text is a plain decimal number. */
export function isPlainNumber(column: string): string {
  return `${column} <> '' AND ${column} NOT GLOB '*[^0-9]*'`
}
