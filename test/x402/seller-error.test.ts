/** Where sellers, facilitators and their frameworks write why a payment failed. */
import { describe, expect, it } from 'vitest'
import { adviceFor } from '../../src/core/x402/seller-reasons.ts'
import { readSellerError, type SellerError } from '../../src/core/x402/seller-error.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'

const words = (headers: Readonly<Record<string, string>>, body: unknown = {}): SellerError =>
  readSellerError(
    (name) => headers[name],
    Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
  )

const challenge = (error: unknown): string => encodeBase64Json({ x402Version: 2, error, accepts: [] })
const receipt = (fields: object): string => encodeBase64Json({ success: false, ...fields })

describe("a seller's words are found in", () => {
  it.each<[string, Record<string, string>, unknown, SellerError]>([
    [
      'error of a fresh PAYMENT-REQUIRED header',
      { 'payment-required': challenge('invalid_exact_evm_insufficient_balance') },
      {},
      {
        code: 'invalid_exact_evm_insufficient_balance',
        message: 'invalid_exact_evm_insufficient_balance',
      },
    ],
    [
      'invalidReason and invalidMessage of that header',
      {
        'payment-required': encodeBase64Json({
          error: 'Payment required',
          invalidReason: 'expired',
          invalidMessage: 'too late',
        }),
      },
      {},
      { code: 'expired', message: 'expired: too late' },
    ],
    [
      'reason and message of a receipt',
      { 'payment-response': receipt({ errorReason: 'settle_failed', errorMessage: 'execution reverted' }) },
      {},
      { code: 'settle_failed', message: 'settle_failed: execution reverted' },
    ],
    [
      'the older receipt beside junk in the newer',
      { 'payment-response': '%%%', 'x-payment-response': receipt({ errorReason: 'insufficient_funds' }) },
      {},
      { code: 'insufficient_funds', message: 'insufficient_funds' },
    ],
    [
      "an error object in OpenAI's shape",
      {},
      {
        error: { message: 'maximum is 8192', type: 'invalid_request_error', code: 'context_length_exceeded' },
      },
      { code: 'context_length_exceeded', message: 'maximum is 8192' },
    ],
    [
      "FastAPI's detail as text",
      {},
      { detail: 'no such model' },
      { code: undefined, message: 'no such model' },
    ],
    [
      "FastAPI's detail as a list",
      {},
      { detail: [{ loc: ['body', 'n'], msg: 'must be above 0', type: 'greater_than' }] },
      { code: 'greater_than', message: 'must be above 0' },
    ],
    [
      "FastAPI's detail as an object",
      {},
      { detail: { reason: 'quota', debug: 'pool 7 is empty' } },
      { code: undefined, message: 'quota: pool 7 is empty' },
    ],
    [
      'a list of errors',
      {},
      { errors: ['bad nonce', { message: 'bad amount' }] },
      { code: undefined, message: 'bad nonce: bad amount' },
    ],
    ['the payment-error header', { 'payment-error': 'expired' }, {}, { code: undefined, message: 'expired' }],
    ['plain text', {}, 'Settlement timed out', { code: undefined, message: 'Settlement timed out' }],
  ])('%s', (_where, headers, body, found) => {
    expect(words(headers, body)).toEqual(found)
  })

  it.each<[string, unknown, string, string?]>([
    [
      'snake case',
      { is_valid: false, invalid_reason: 'late_payment', error_message: 'too late' },
      'late_payment: too late',
      'late_payment',
    ],
    ['capitals', { Error: 'Big', Message: 'Case' }, 'Big: Case'],
    [
      "OAuth's description",
      { error: 'invalid_grant', error_description: 'it expired' },
      'invalid_grant: it expired',
      'invalid_grant',
    ],
    ['a form', { errors: { payment: ['is too small', 'is late'] } }, 'is too small: is late'],
    ['a code alone', { error: { code: 'insufficient_funds' } }, 'insufficient_funds', 'insufficient_funds'],
    [
      "JSON-RPC's data",
      { jsonrpc: '2.0', error: { code: -32000, message: 'boom', data: { errorReason: 'no_funds' } } },
      'boom: no_funds',
      'no_funds',
    ],
    [
      "a facilitator's answer",
      { error: 'Payment invalid', verifyResponse: { isValid: false, invalidReason: 'no_funds' } },
      'Payment invalid: no_funds',
      'no_funds',
    ],
    [
      'a settlement',
      { settlement: { success: false, errorReason: 'pool_empty' } },
      'pool_empty',
      'pool_empty',
    ],
    ['a result', { success: false, result: { error: 'nope' } }, 'nope'],
    [
      'a cause',
      { error: { message: 'fetch failed', cause: { message: 'ECONNREFUSED' } } },
      'fetch failed: ECONNREFUSED',
    ],
    [
      'JSON in a text',
      { error: JSON.stringify({ message: 'inner words', code: 'inner_code' }) },
      'inner words',
      'inner_code',
    ],
    [
      'JSON behind words',
      { error: { message: '402 {"error":"insufficient_funds"}' } },
      'insufficient_funds',
      'insufficient_funds',
    ],
    ['a list', [{ error: { code: 400, message: 'API key' } }], 'API key'],
    ['error: true', { error: true, message: 'oops' }, 'oops'],
    [
      'an event',
      'event: error\ndata: {"error":{"message":"gone","code":"model_overloaded"}}\n\n',
      'gone',
      'model_overloaded',
    ],
    ['lines of JSON', '{"error":"first"}\n{"error":"second"}', 'first: second'],
    ['a page with a headline', '<html><body><h1>402 Payment failed</h1></body></html>', '402 Payment failed'],
    ['XML', '<?xml version="1.0"?><Error><Code>Denied</Code><Message>no funds</Message></Error>', 'no funds'],
    ['a text with a brace', 'cost {low} is wrong', 'cost {low} is wrong'],
  ])('%s', (_what, body, message, code) => {
    expect(words({}, body)).toEqual({ code, message })
  })

  it.each<[string, Record<string, string>, SellerError]>([
    [
      'payment-error in base64',
      { 'payment-error': encodeBase64Json({ errorReason: 'no_funds' }) },
      { code: 'no_funds', message: 'no_funds' },
    ],
    [
      'payment-error in JSON',
      { 'payment-error': '{"reason":"expired"}' },
      { code: undefined, message: 'expired' },
    ],
    ['x402-error', { 'x402-error': 'expired' }, { code: undefined, message: 'expired' }],
    [
      'www-authenticate',
      { 'www-authenticate': 'Payment realm="x", error="no_funds", error_description="the wallet is empty"' },
      { code: undefined, message: 'no_funds: the wallet is empty' },
    ],
    [
      'a member of the receipt',
      { 'payment-response': receipt({ extra: { errorReason: 'pool_empty' } }) },
      { code: 'pool_empty', message: 'pool_empty' },
    ],
  ])('the header %s', (_where, headers, found) => {
    expect(words(headers)).toEqual(found)
  })

  it('no web page, and nothing that is not there', () => {
    expect(words({}, '<!doctype html><p>no')).toEqual({ code: undefined, message: undefined })
    expect(words({ 'payment-required': 'junk' }, { a: 1 })).toEqual({ code: undefined, message: undefined })
    expect(words({}, null)).toEqual({ code: undefined, message: undefined })
  })

  it('a body that never ends its nesting, and still answers at once', () => {
    const deep = `${'{"error":'.repeat(5_000)}1${'}'.repeat(5_000)}`
    expect(words({}, deep)).toEqual({ code: undefined, message: undefined })
    const wide = { errors: Array.from({ length: 9_999 }, (_, n) => ({ message: `error ${n}` })) }
    expect(words({}, wide).message?.length).toBeLessThan(200)
  })
})

describe('the advice for a reason', () => {
  const facts = { from: '0xabc', price: '0.001 USDC', network: 'base' }
  const advice = (code: string | undefined, message?: string): string =>
    adviceFor({ code, message }, facts).join(' ')

  it.each([
    ['invalid_exact_evm_insufficient_balance', /0xabc holds less than 0\.001 USDC on base/],
    ['insufficient_funds', /Send it USDC on base/],
    ['invalid_exact_evm_payload_authorization_valid_before', /clock/],
    ['invalid_exact_evm_signature', /EIP-7702/],
    ['invalid_exact_evm_token_name_mismatch', /domain/],
    ['invalid_exact_evm_nonce_already_used', /tollway reconcile/],
    ['context_length_exceeded', /maximum context length/],
  ])('%s helps', (code, expected) => {
    expect(advice(code)).toMatch(expected)
  })

  it('is found in sentences too, and none is made up', () => {
    expect(advice(undefined, 'ERC20: transfer amount exceeds balance')).toMatch(/holds less than/)
    expect(advice('teapot', 'short and stout')).toBe('')
  })
})
