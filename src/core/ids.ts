const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_CHARACTERS = 10
const RANDOM_CHARACTERS = 14

/** Unpredictable bytes: injected, so that tests can repeat them. */
export type RandomBytes = (count: number) => Uint8Array

/** `chg_` and 24 characters of Crockford base 32: 10 encode the time, so that ids sort by it, and 14 carry 70 random bits. */
export function newChargeId(nowMs: number, random: RandomBytes): string {
  let time = ''
  for (let rest = nowMs, i = 0; i < TIME_CHARACTERS; i++, rest = Math.floor(rest / 32)) {
    time = `${CROCKFORD[rest % 32]}${time}`
  }
  const tail = Array.from(random(RANDOM_CHARACTERS), (byte) => CROCKFORD[byte % 32])
  return `chg_${time}${tail.join('')}`
}
