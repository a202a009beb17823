/** What people put where a private key belongs. Runs in the signer's worker only (rule 8). */

/** A form, and what to do about it. The first that matches counts. */
interface WrongForm {
  readonly pattern: RegExp
  readonly advice: string
}

const QUOTED = /^(?:"[^"]*"|'[^']*'|`[^`]*`)$/

const FORMS: readonly WrongForm[] = [
  { pattern: /^\s*$/, advice: 'It is empty.' },
  { pattern: /^[0-9a-fA-F]{64}$/, advice: 'It holds 64 hex digits without 0x: put 0x in front of them.' },
  { pattern: /^0X[0-9a-fA-F]{64}$/, advice: 'It begins with 0X: write a small x.' },
  {
    pattern: /^0x[0-9a-fA-F]{40}$/,
    advice: 'It holds an address, which everyone may know: export the private key of that account.',
  },
  {
    pattern: /^0x[0-9a-fA-F]+$/,
    advice: 'It holds hex digits, but not 64 of them: copy the whole key again.',
  },
  { pattern: QUOTED, advice: 'It is in quotes: remove them, they are part of the value here.' },
  {
    pattern: /^[a-z]+(?:\s+[a-z]+){11,23}\s*$/i,
    advice: 'It looks like a recovery phrase: export the private key of the one account that pays.',
  },
  {
    pattern: /^\s*\{[\s\S]*"crypto"/i,
    advice: 'It holds an encrypted keystore: name its file under keystore, with the password.',
  },
  {
    pattern: /^\s*\[[\d,\s]*\]\s*$/,
    advice: 'It looks like a key of Solana: use a payer of kind: solana.',
  },
  { pattern: /^-----BEGIN /, advice: 'It is a PEM file: export the key as hex digits.' },
  {
    pattern: /^[1-9A-HJ-NP-Za-km-z]{86,88}$/,
    advice: 'It looks like a key of Solana: use a payer of kind: solana.',
  },
  { pattern: /^\$\{?\w+/, advice: 'It holds the name of a variable, not its value.' },
  { pattern: /\s/, advice: 'It has spaces or line breaks: remove them.' },
]

/** What a text that is no key looks like, and what to do; '' when it looks like nothing known. Never a part of the text. */
export function wrongKeyAdvice(text: string): string {
  const found = FORMS.find(({ pattern }) => pattern.test(text))
  return found === undefined ? '' : ` ${found.advice}`
}
