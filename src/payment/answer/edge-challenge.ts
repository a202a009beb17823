/** Pages of the protection in front of a seller: it refuses who asks, and the seller never sees the request. */

/** What is read of an answer. */
export interface EdgeAnswer {
  /** The value of a header, lower-case name. */
  header(name: string): string | undefined
  /** The beginning of the body; empty when it was not read. */
  readonly text: string
}

/** Headers that protections set on their own answers and on nothing else. */
const MARKS: readonly (readonly [string, RegExp, string])[] = [
  ['cf-mitigated', /./, 'Cloudflare'],
  ['x-amzn-waf-action', /challenge|captcha|block/i, 'AWS WAF'],
  ['x-vercel-mitigated', /./, 'Vercel'],
  ['x-vercel-challenge-token', /./, 'Vercel'],
  ['x-dd-b', /./, 'DataDome'],
]

/** Words of their pages. */
const PAGES: readonly (readonly [RegExp, string])[] = [
  [
    /\berror (?:code: ?)?10(?:0[3-9]|1[0-2]|2\d)\b|cf-chl|challenge-platform|__cf_chl|Attention Required! \| Cloudflare/i,
    'Cloudflare',
  ],
  [/errors\.edgesuite\.net|Reference&#32;&#35;|Reference #[\da-f]+\.[\da-f]+\.[\da-f]+/i, 'Akamai'],
  [/token\.awswaf\.com|awsWafCookieDomainList|gokuProps/i, 'AWS WAF'],
  [/Vercel Security Checkpoint|vercel-challenge/i, 'Vercel'],
  [/captcha-delivery\.com/i, 'DataDome'],
  [/_Incapsula_Resource|Incapsula incident ID/i, 'Imperva'],
  [/Sucuri WebSite Firewall/i, 'Sucuri'],
]

/** Cloudflare's own limit of requests: waiting helps, so it is no refusal. */
const RATE_LIMIT = /\berror (?:code: ?)?1015\b/i

/** The protection that a header names, whatever the status is. */
export function edgeByHeaders({ header }: Pick<EdgeAnswer, 'header'>): string | undefined {
  return MARKS.find(([name, pattern]) => pattern.test(header(name) ?? ''))?.[2]
}

/** The protection that answered instead of the seller; `undefined` when none is recognized. */
export function edgeOf(answer: EdgeAnswer): string | undefined {
  if (RATE_LIMIT.test(answer.text)) return undefined
  return edgeByHeaders(answer) ?? PAGES.find(([pattern]) => pattern.test(answer.text))?.[1]
}
