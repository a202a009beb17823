/** Formats money, times and names. Money is exact decimal text, and only {@link addUsd} calculates with it. */

/** An amount in the one form of the page: grouped thousands, two places, and as many more as it has. */
export function usd(text: string): string {
  const [whole = '0', fraction = ''] = text.split('.')
  return `$${grouped(whole)}.${fraction.replace(/0+$/, '').padEnd(2, '0')}`
}

/** The exact sum of USD amounts, as decimal text. */
export function addUsd(amounts: readonly string[]): string {
  const micro = amounts.reduce((sum, text) => {
    const [whole = '0', fraction = ''] = text.split('.')
    return sum + BigInt(whole + fraction.padEnd(6, '0'))
  }, 0n)
  return units(micro.toString(), 6).replaceAll(',', '')
}

/** Converts smallest units to whole units. */
export function units(text: string, decimals: number): string {
  const digits = text.padStart(decimals + 1, '0')
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '')
  const whole = grouped(digits.slice(0, digits.length - decimals))
  return fraction === '' || decimals === 0 ? whole : `${whole}.${fraction}`
}

/** A whole number with grouped thousands. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** The ratio of a part to a whole, 0 to 1: for the width of a bar, never for a decision. */
export function share(part: string, whole: string): number {
  const [a, b] = [Number(part), Number(whole)]
  return b > 0 ? Math.min(1, a / b) : 0
}

/** A host without its scheme. */
export function host(origin: string): string {
  return origin.replace(/^https?:\/\//, '')
}

/** Shortens a long name by removing its middle. */
export function shorten(text: string, head = 8, tail = 6): string {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}\u2026${text.slice(-tail)}`
}

const TODAY = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const EARLIER = new Intl.DateTimeFormat('en-GB', {
  day: '2-digit',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
})
const WHOLE = new Intl.DateTimeFormat('en-GB', {
  year: 'numeric',
  month: 'short',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
})

/** Shows a time of today as hours and minutes, an earlier one with its date. */
export function shortTime(iso: string): string {
  const date = new Date(iso)
  return date.toDateString() === new Date().toDateString()
    ? TODAY.format(date)
    : EARLIER.format(date).replace(',', '')
}

/** Shows a time in full. */
export function longTime(iso: string): string {
  return WHOLE.format(new Date(iso))
}

function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, ',')
}
