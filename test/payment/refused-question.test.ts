/** Answers to the unpaid question that are no offer and no outage: told as what they are, and not by "try again". */
import { describe, expect, it } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import { ROUTER_DEFAULTS, RouterState, type RoutedRequest } from '../../src/core/routing/router-state.ts'
import { tryCandidates } from '../../src/payment/try-candidates.ts'
import { candidateAt, challenge, NOW, reply, startEngine, type Script } from '../kit/payment-engine.ts'

const FIRST = candidateAt('seller.test')
const SECOND = candidateAt('second.test')

async function ask(seller: Script, candidates = [FIRST]) {
  const engine = await startEngine({ seller })
  engine.exchange.routing.candidates = candidates
  const blamed: string[] = []
  engine.exchange.routing.attempts = {
    enter: () => ({
      answered: () => void blamed.push('answered'),
      failed: (reason: string) => void blamed.push(reason),
      unknown: () => void blamed.push('unknown'),
      leave: () => undefined,
    }),
    retries: () => 0,
    retryDelay: () => undefined,
    repeated: () => undefined,
    movedOn: () => undefined,
    fallbacks: () => [],
  }
  const req = { method: 'POST', url: '/v1/chat/completions', headers: {} }
  const error = await tryCandidates(engine.context, req, engine.exchange, engine.client.signal).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return { engine, error: error instanceof TollwayError ? error : undefined, blamed }
}

describe('a redirect', () => {
  it.each([
    [301, 'https://www.seller.test/v1/chat/completions', 'https://www.seller.test/v1/chat/completions'],
    [302, '/v2/chat/completions', 'https://seller.test/v2/chat/completions'],
    [303, '//other.test/x?key=secret', 'https://other.test/x'],
    [307, 'https://seller.test:8443/', 'https://seller.test:8443/'],
    [308, 'http://seller.test/v1\u0007', 'http://seller.test/v1'],
  ])('of %i names its address and the fix, and is not followed', async (status, location, told) => {
    const { engine, error, blamed } = await ask(() => reply(status, '', { location }))
    expect(error).toMatchObject({
      code: 'seller_unavailable',
      status: 503,
      details: { reason: `status_${status}` },
    })
    expect(error?.message).toContain(`redirects to ${told}`)
    expect(error?.message).toContain('api_base')
    expect(error?.message).not.toContain('secret')
    expect(error?.headers).not.toHaveProperty('retry-after')
    expect(engine.sent).toHaveLength(1)
    expect(blamed).toEqual(['unknown'])
  })

  it.each([undefined, 'javascript:alert(1)', 'http://['])(
    'to %s is told without an address',
    async (location) => {
      const { error } = await ask(() => reply(301, '', location === undefined ? {} : { location }))
      expect(error?.message).toContain('redirects without an address')
    },
  )
})

describe('a refusal of who asks', () => {
  it.each([
    [401, 'asks for a login'],
    [403, 'refuses access'],
    [405, 'does not take this method'],
    [406, 'does not accept the request in this form'],
    [410, 'gone'],
    [411, 'refuses the request as it is'],
    [418, 'refuses the request as it is'],
    [426, 'another version of the protocol'],
    [431, 'the headers are too large'],
    [501, 'does not know this method'],
    [511, 'a network that asks for a login'],
    [451, 'may not serve this location'],
  ])('of %i is told as what it is, with the words of the seller', async (status, what) => {
    const body = JSON.stringify({ error: { message: 'no entry today' } })
    const { error, blamed } = await ask(() => reply(status, body))
    expect(error?.message).toContain(what)
    expect(error?.toBody().error.seller).toMatchObject({ status, message: 'no entry today' })
    expect(error?.headers).toEqual({ 'x-tollway-seller-message': 'no entry today' })
    expect(error?.details).toMatchObject({ seller_status: status, seller_message: 'no entry today' })
    expect(blamed).toEqual(['unknown'])
  })

  it('sends the request to the next candidate', async () => {
    const { engine, error } = await ask(
      ({ url }, isPaid) => {
        if (url.includes('seller.test')) return reply(403, 'error code: 1010')
        return isPaid ? reply(200) : challenge()
      },
      [FIRST, SECOND],
    )
    expect(error).toBeUndefined()
    expect(engine.paid()).toHaveLength(1)
  })
})

describe('a protection in front of the seller', () => {
  const html = { 'content-type': 'text/html; charset=UTF-8' }
  it.each<[string, number, Record<string, string>, string]>([
    ['Cloudflare', 403, { 'cf-mitigated': 'challenge' }, '<title>Just a moment...</title>'],
    ['Cloudflare', 403, { 'content-type': 'text/plain' }, 'error code: 1010'],
    ['Cloudflare', 403, html, '<h1>Error 1020</h1> Access denied error 1020'],
    ['Cloudflare', 503, html, '<title>Just a moment...</title><script src="/cdn-cgi/challenge-platform/x">'],
    ['Cloudflare', 429, { 'cf-mitigated': 'challenge' }, ''],
    [
      'Akamai',
      403,
      html,
      '<title>Access Denied</title> Reference&#32;&#35;18&#46;a https://errors.edgesuite.net/18.a',
    ],
    ['AWS WAF', 202, { 'x-amzn-waf-action': 'challenge' }, ''],
    ['AWS WAF', 405, { 'x-amzn-waf-action': 'captcha', ...html }, '<script>window.gokuProps</script>'],
    ['Vercel', 429, { 'x-vercel-mitigated': 'challenge' }, '<title>Vercel Security Checkpoint</title>'],
    ['Vercel', 403, html, 'Vercel Security Checkpoint'],
    ['DataDome', 403, html, '<script src="https://ct.captcha-delivery.com/c.js">'],
    ['Imperva', 403, html, '<iframe src="/_Incapsula_Resource?x=1">'],
    ['Imperva', 200, html, '<html><iframe src="/_Incapsula_Resource?x=1"></iframe></html>'],
    ['Cloudflare', 200, { ...html, 'cf-mitigated': 'challenge' }, '<title>Just a moment...</title>'],
    [
      'Vercel',
      401,
      html,
      '<title>Authentication Required</title><script>location="https://vercel.com/sso-api"',
    ],
    ['HUMAN', 403, { 'content-type': 'text/html' }, '<div id="px-captcha"></div>'],
    ['Kasada', 429, { 'x-kpsdk-ct': 'abc' }, ''],
    ['Anubis', 200, html, '<!doctype html><title>Making sure you&#39;re not a bot!</title>'],
    ['F5', 200, html, '<html>The requested URL was rejected. Please consult with your administrator.</html>'],
    ['DDoS-Guard', 403, html, '<title>DDOS-GUARD</title>'],
    ['ModSecurity', 406, html, '<p>This error was generated by Mod_Security.</p>'],
    [
      'Wordfence',
      503,
      html,
      '<title>Your access to this site has been limited</title> Generated by Wordfence',
    ],
    [
      'AWS CloudFront',
      403,
      html,
      '<H1>403 ERROR</H1> Request blocked. <PRE>Generated by cloudfront (CloudFront)</PRE>',
    ],
    ['Azure', 403, html, '<h2>403</h2><hr>Microsoft-Azure-Application-Gateway/v2'],
    ['ngrok', 200, { ...html, 'ngrok-error-code': 'ERR_NGROK_6024' }, '<html>You are about to visit</html>'],
    ['DataDome', 403, { 'x-datadome': 'protected' }, '{"url":"https://geo.captcha"}'],
    ['Cloudflare', 404, html, '<html>error code: 1003</html>'],
  ])(
    '%s (status %i) is named, without "try again", and cools nothing down',
    async (name, status, headers, body) => {
      const { engine, error, blamed } = await ask(() => reply(status, body, headers))
      expect(error).toMatchObject({ code: 'seller_unavailable', details: { reason: `status_${status}` } })
      expect(error?.message).toContain(`is behind ${name}`)
      expect(error?.message).toContain('user_agent')
      expect(error?.headers).not.toHaveProperty('retry-after')
      expect(blamed).toEqual(['unknown'])
      expect(engine.sent).toHaveLength(1)
    },
  )

  it.each<[number, string]>([
    [200, '<!DOCTYPE html><html><head><title>Acme</title></head><body><div id="root"></div></body></html>'],
    [200, '  <html><body>Domain is parked</body></html>'],
    [203, '<head></head>'],
  ])('is not needed for a web page (status %i) to be told as no answer of an API', async (status, body) => {
    const { error, blamed } = await ask(() => reply(status, body, html))
    expect(error).toMatchObject({ code: 'seller_unavailable', details: { reason: `status_${status}` } })
    expect(error?.message).toMatch(/answers with a web page.*api_base/)
    expect(error?.headers).not.toHaveProperty('retry-after')
    expect(blamed).toEqual(['unknown'])
  })

  it.each<[number, string]>([
    [200, '{"id":"x","choices":[]}'],
    [200, 'data: {"choices":[]}\n\n'],
    [404, '<html><title>404 Not Found</title></html>'],
    [400, '<html><p>no model</p></html>'],
  ])(
    'is not seen in the own answer of a free API with a wrong type (status %i): %s',
    async (status, body) => {
      const { engine, error } = await ask(() => reply(status, body, html))
      expect(error).toBeUndefined()
      const chunks: Uint8Array[] = []
      for await (const chunk of engine.exchange.relay.reply?.body ?? []) chunks.push(chunk)
      expect([engine.exchange.relay.reply?.status, Buffer.concat(chunks).toString()]).toEqual([status, body])
    },
  )

  it('carries the title of its page as the words of the seller', async () => {
    const { error } = await ask(() => reply(403, '<!doctype html><title>Access Denied</title>', html))
    expect(error?.toBody().error.seller).toMatchObject({ status: 403, message: 'Access Denied' })
  })

  it.each<[number, string]>([
    [429, 'error code: 1015'],
    [502, '<title>502 Bad Gateway</title>'],
    [503, '<html>Service Unavailable</html>'],
    [530, 'error code: 1033x'],
  ])('is no reason to give up at a plain outage (%i)', async (status, body) => {
    const { error, blamed } = await ask(() => reply(status, body, html))
    expect(error?.headers).toMatchObject({ 'retry-after': '5' })
    expect(blamed).toEqual(['seller_unavailable'])
  })
})

describe('a 402 that is no x402', () => {
  it.each<[unknown, string, RegExp]>([
    [
      { error: { message: 'Insufficient credits. Add more at openrouter.ai', code: 402 } },
      'Insufficient credits. Add more at openrouter.ai',
      /account without balance/,
    ],
    [
      { error: { message: 'Insufficient Balance', type: 'unknown_error', code: 'invalid_request_error' } },
      'Insufficient Balance',
      /account without balance/,
    ],
    [{ detail: 'Your subscription has ended' }, 'Your subscription has ended', /account without balance/],
    [
      { code: 1113, message: 'Account in arrears, please recharge' },
      'Account in arrears, please recharge',
      /account without balance/,
    ],
    [{ message: 'Pay by invoice' }, 'Pay by invoice', /without an x402 offer/],
  ])('is told as what it is, with the words of the seller: %j', async (body, words, told) => {
    const { engine, error, blamed } = await ask(() => reply(402, JSON.stringify(body)))
    expect(error).toMatchObject({ code: 'no_supported_offer', status: 400 })
    expect(error?.message).toMatch(told)
    expect(error?.toBody().error.seller).toMatchObject({ status: 402, message: words })
    expect(error?.headers).not.toHaveProperty('retry-after')
    expect(blamed).toEqual(['unknown'])
    expect(engine.paid()).toEqual([])
  })

  it.each<[string, Record<string, string>, string]>([
    ['L402', { 'www-authenticate': 'L402 macaroon="AGIA", invoice="lnbc1"' }, 'L402 (Lightning)'],
    ['LSAT', { 'www-authenticate': 'LSAT macaroon="AGIA", invoice="lnbc1"' }, 'L402 (Lightning)'],
    ['pay per crawl', { 'crawler-price': 'USD 0.01' }, "Cloudflare's pay per crawl"],
  ])('names the other way to pay: %s', async (_name, headers, named) => {
    const { error } = await ask(() => reply(402, 'Payment Required', headers))
    expect(error).toMatchObject({ code: 'no_supported_offer', message: expect.stringContaining(named) })
  })

  it('lets the next candidate serve', async () => {
    const { engine, error } = await ask(
      ({ url }, isPaid) => {
        if (url.includes('seller.test')) return reply(402, '{"error":"insufficient_balance"}')
        return isPaid ? reply(200) : challenge()
      },
      [FIRST, SECOND],
    )
    expect(error).toBeUndefined()
    expect(engine.paid()).toHaveLength(1)
  })

  it.each([
    '{"error":"Payment required"}',
    '{"error":"X-PAYMENT header is required"}',
    '{}',
    '<html>pay</html>',
  ])('is not what an x402 seller says whose offer cannot be read: %s', async (body) => {
    const { error } = await ask(() => reply(402, body))
    expect(error).toMatchObject({ code: 'offer_undecodable' })
  })
})

describe('an outage', () => {
  it.each([429, 500, 502, 530])(
    'of %i still says when to try again, and counts against the route',
    async (status) => {
      const { error, blamed } = await ask(() => reply(status, ''))
      expect(error?.headers).toMatchObject({ 'retry-after': '5' })
      expect(blamed).toEqual(['seller_unavailable'])
    },
  )
})

describe('the next request', () => {
  const html = { 'content-type': 'text/html' }
  const settings = { ...ROUTER_DEFAULTS, allowedFails: 0, cooldownMs: 60_000, random: () => 0.5 }
  const routed: RoutedRequest = {
    caller: 'anonymous',
    model: 'm',
    endpoint: '/chat/completions',
    header: () => undefined,
    fallbacks: () => [],
  }

  /** Asks twice through the router's own state. @returns the hosts that were asked first */
  async function askTwice(refusal: () => ReturnType<typeof reply>): Promise<(string | undefined)[]> {
    const state = new RouterState({ ...settings, clock: { now: () => NOW } })
    const hosts: (string | undefined)[] = []
    const engine = await startEngine({
      seller: ({ url }, isPaid) => {
        if (url.includes('//seller.test')) return refusal()
        return isPaid ? reply(200) : challenge()
      },
    })
    for (let request = 0; request < 2; request += 1) {
      const at = engine.sent.length
      engine.exchange.payment.charge = undefined
      engine.exchange.routing.candidates = state.arrange([FIRST, SECOND], routed)
      engine.exchange.routing.attempts = state.routing(routed)
      const req = { method: 'POST', url: '/v1/chat/completions', headers: {} }
      await tryCandidates(engine.context, req, engine.exchange, engine.client.signal)
      hosts.push(new URL(engine.sent[at]?.url ?? '').host)
    }
    return hosts
  }

  it.each<[string, () => ReturnType<typeof reply>]>([
    ['a 401', () => reply(401)],
    ['a 403', () => reply(403)],
    ['a 405', () => reply(405)],
    ["Cloudflare's 1010", () => reply(403, 'error code: 1010', { 'content-type': 'text/plain' })],
    ['a challenge with status 503', () => reply(503, 'challenge-platform', html)],
    ['a redirect', () => reply(308, '', { location: 'https://elsewhere.test/' })],
    ['a 402 of an account', () => reply(402, '{"error":"insufficient balance"}')],
    ['a web page', () => reply(200, '<html></html>', html)],
  ])('goes to the same route first after %s: it did not cool down', async (_what, refusal) => {
    expect(await askTwice(refusal)).toEqual(['seller.test', 'seller.test'])
  })

  it.each<[string, () => ReturnType<typeof reply>]>([
    ['a 502', () => reply(502)],
    ['a plain 503 with a page', () => reply(503, '<html>Service Unavailable</html>', html)],
    ["Cloudflare's rate limit", () => reply(429, 'error code: 1015', { 'content-type': 'text/plain' })],
  ])('goes to the other route after an outage: %s', async (_what, refusal) => {
    expect(await askTwice(refusal)).toEqual(['seller.test', 'second.test'])
  })
})

describe('an x402 answer that cannot be paid', () => {
  it.each<[string, object, string]>([
    ['offers nothing', { x402Version: 2, accepts: [], error: 'Paused for maintenance' }, 'offer_empty'],
    ['cannot be read', { x402Version: 3, accepts: [], error: 'Use version 3' }, 'offer_undecodable'],
  ])('and %s carries the words of the seller', async (_what, required, code) => {
    const { error } = await ask(() =>
      reply(402, '{}', { 'payment-required': Buffer.from(JSON.stringify(required)).toString('base64') }),
    )
    expect(error).toMatchObject({ code, seller: { status: 402, message: Reflect.get(required, 'error') } })
    expect(error?.headers).toHaveProperty('x-tollway-seller-message')
  })
})
