/** The forms in which frameworks, API gateways, chains and facilitators write an error: each as its own documentation shows it. */
import { describe, expect, it } from 'vitest'
import { isRequestCode, adviceFor } from '../../src/core/x402/seller-reasons.ts'
import { readSellerError, type SellerError } from '../../src/core/x402/seller-error.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { cleanedMessage, sellerSaid } from '../../src/payment/answer/seller-message.ts'

function words(body: unknown, headers: Readonly<Record<string, string>> = {}): SellerError {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return readSellerError((name) => headers[name], Buffer.from(text))
}

describe('the words and the code in', () => {
  it.each<[string, unknown, string, string?]>([
    [
      'NestJS',
      { statusCode: 401, message: 'Invalid payment', error: 'Unauthorized' },
      'Unauthorized: Invalid payment',
    ],
    [
      'NestJS, a list of validations',
      { statusCode: 400, message: ['amount must be positive', 'nonce must be hex'], error: 'Bad Request' },
      'Bad Request: amount must be positive: nonce must be hex',
    ],
    [
      'problem details (RFC 9457)',
      {
        type: 'https://seller.test/problems/credit',
        title: 'Not enough credit.',
        status: 403,
        detail: 'Your balance is 30',
        'invalid-params': [{ name: 'amount', reason: 'must be positive' }],
      },
      'Not enough credit.: Your balance is 30: must be positive',
    ],
    [
      'Spring',
      { timestamp: '2026', status: 403, error: 'Forbidden', message: 'Access Denied', path: '/v1' },
      'Forbidden: Access Denied',
    ],
    [
      'ASP.NET',
      {
        title: 'One or more validation errors occurred.',
        status: 400,
        errors: { Amount: ['The amount is too small.'] },
        traceId: '00-x',
      },
      'One or more validation errors occurred.: The amount is too small.',
    ],
    ['Go', 'payment: nonce 0x12 already used\n', 'payment: nonce 0x12 already used'],
    ['Rails', { errors: { base: ['Payment is late'] } }, 'Payment is late'],
    [
      'Laravel',
      { message: 'The given data was invalid.', errors: { amount: ['The amount field is required.'] } },
      'The given data was invalid.: The amount field is required.',
    ],
    ['Django, by field', { amount: ['This field is required.'] }, 'This field is required.'],
    [
      'Django, of the whole form',
      { non_field_errors: ['The signature is wrong.'] },
      'The signature is wrong.',
    ],
    [
      'Hono with zod',
      {
        success: false,
        error: {
          name: 'ZodError',
          message: '[{"code":"invalid_type","path":["model"],"message":"Required"}]',
        },
      },
      'Required',
      'invalid_type',
    ],
    [
      'Hono with issues',
      {
        success: false,
        error: { issues: [{ code: 'invalid_type', path: ['model'], message: 'Required: model' }] },
      },
      'Required: model',
    ],
    [
      'Fastify',
      {
        statusCode: 402,
        code: 'FST_ERR_PAY',
        error: 'Payment Required',
        message: 'payment is below the price',
      },
      'payment is below the price',
      'FST_ERR_PAY',
    ],
    [
      'tRPC',
      { error: { json: { message: 'payment broken', code: -32603, data: { httpStatus: 500 } } } },
      'payment broken',
    ],
    [
      'GraphQL',
      { errors: [{ message: 'Pay to continue', extensions: { code: 'PAYMENT_FAILED' } }] },
      'Pay to continue',
      'PAYMENT_FAILED',
    ],
    [
      'gRPC over JSON',
      { code: 16, message: 'who is this', details: [{ '@type': 'x/ErrorInfo', reason: 'API_KEY_INVALID' }] },
      'who is this: API_KEY_INVALID',
      'API_KEY_INVALID',
    ],
    [
      'Google',
      { error: { code: 429, message: 'Quota exceeded', status: 'RESOURCE_EXHAUSTED' } },
      'Quota exceeded',
      'RESOURCE_EXHAUSTED',
    ],
    ['API Gateway of AWS', { Message: 'User is not authorized' }, 'User is not authorized'],
    ['Lambda', { errorMessage: 'boom in handler', errorType: 'Error', trace: [] }, 'boom in handler'],
    [
      'Apigee',
      { fault: { faultstring: 'Invalid ApiKey', detail: { errorcode: 'oauth.v2.InvalidApiKey' } } },
      'oauth.v2.InvalidApiKey: Invalid ApiKey',
      'oauth.v2.InvalidApiKey',
    ],
    [
      'OData',
      { error: { code: 'PaymentInvalid', message: { lang: 'en', value: 'The payment is invalid.' } } },
      'The payment is invalid.',
      'PaymentInvalid',
    ],
    [
      'JSON:API',
      {
        errors: [
          { status: '402', code: 'nonce_used', title: 'Payment failed', detail: 'The nonce was used' },
        ],
      },
      'Payment failed: The nonce was used',
      'nonce_used',
    ],
    [
      'MiniMax',
      { base_resp: { status_code: 1008, status_msg: 'insufficient balance' } },
      'insufficient balance',
      '1008',
    ],
    [
      'DashScope',
      { code: 'DataInspectionFailed', message: 'Input may be bad', request_id: 'x' },
      'Input may be bad',
      'DataInspectionFailed',
    ],
    ['WeChat', { errcode: 40_003, errmsg: 'invalid openid' }, 'invalid openid', '40003'],
    ['a status with words', { status: 'failed', status_message: 'Wallet is frozen' }, 'Wallet is frozen'],
    ['a status alone', { status: 'payment_expired' }, 'payment_expired', 'payment_expired'],
    ['reasons', { ok: false, reasons: ['too late', 'too little'] }, 'too late: too little'],
    ['a hint', { error: 'bad', hint: 'Send USDC on base' }, 'bad: Send USDC on base'],
    [
      'a kind with a text',
      { error: { kind: 'PaymentError', text: 'Signature rejected' } },
      'Signature rejected',
    ],
    [
      'an error of viem',
      {
        message: 'Settlement failed',
        cause: { cause: { shortMessage: 'execution reverted: invalid signature' } },
      },
      'Settlement failed: execution reverted: invalid signature',
    ],
    [
      "a facilitator's answer deep inside",
      { error: { details: { facilitator: { response: { errorReason: 'insufficient_funds' } } } } },
      'insufficient_funds',
      'insufficient_funds',
    ],
    [
      'an error of MCP, as text',
      { result: { isError: true, content: [{ type: 'text', text: '{"x402Version":2,"error":"expired"}' }] } },
      'expired',
    ],
    [
      'an error of MCP, as JSON',
      { result: { isError: true, structuredContent: { error: 'expired_payment', accepts: [] } } },
      'expired_payment',
    ],
    [
      'a form',
      'error=invalid_payment&error_description=The+payment+is+late',
      'invalid_payment: The payment is late',
      'invalid_payment',
    ],
    [
      "Express' page",
      '<!DOCTYPE html><html><head><title>Error</title></head><body><pre>Cannot POST /v1/chat</pre></body></html>',
      'Cannot POST /v1/chat',
    ],
    [
      'a page with markup in its headline',
      '<html><title>402</title><h1><span>Wallet&#39;s</span> balance &lt; price</h1></html>',
      "Wallet's balance < price",
    ],
    [
      'SOAP',
      '<soap:Envelope><soap:Fault><faultstring>no funds</faultstring></soap:Fault></soap:Envelope>',
      'no funds',
    ],
  ])('%s', (_form, body, message, code) => {
    expect(words(body)).toEqual({ code, message })
  })

  it.each<[string, Readonly<Record<string, string>>, string]>([
    ['x-error-message', { 'x-error-message': 'facilitator down' }, 'facilitator down'],
    ['grpc-message', { 'grpc-message': 'payment%20too%20late' }, 'payment too late'],
    ['x-payment-error-reason', { 'x-payment-error-reason': '100% late' }, '100% late'],
    [
      'an X-PAYMENT-REQUIRED header',
      { 'x-payment-required': encodeBase64Json({ error: 'invalid_exact_evm_signature', accepts: [] }) },
      'invalid_exact_evm_signature',
    ],
    [
      'a receipt with an error of any name',
      { 'x-payment-response': encodeBase64Json({ success: false, error: 'facilitator unreachable' }) },
      'facilitator unreachable',
    ],
  ])('the header %s', (_name, headers, message) => {
    expect(words({}, headers).message).toBe(message)
  })

  it.each<[string, unknown]>([
    ['a description of the service', { x402Version: 1, accepts: [{ description: 'A nice service' }] }],
    [
      'the resource',
      { resource: { description: 'An API' }, extensions: { bazaar: { info: { error: 'x' } } } },
    ],
    ['an answer', { id: 'chatcmpl_1', choices: [{ message: { content: 'error: none' } }] }],
  ])('never %s', (_what, body) => {
    expect(words(body)).toEqual({ code: undefined, message: undefined })
  })
})

describe("a seller's words for a client", () => {
  it('are kept in any script in the body, and in ASCII in the header', () => {
    const said = sellerSaid(402, words({ error: '余额不足', code: 'E1001' }))
    expect(said.seller).toEqual({ status: 402, code: 'E1001', message: '余额不足' })
    expect(said.headers).toEqual({ 'x-tollway-seller-message': '????' })
  })

  it.each([
    ['control characters', 'a\u001b[31mb\u0007', 'a?[31mb?'],
    ['marks that turn the text around', 'pay\u202eevil\u2066', 'pay?evil?'],
    ['zero-width characters', 'a\u200bb', 'a?b'],
    ['line ends', 'a\r\n\tb\u2028c', 'a b c'],
    ['half a pair', 'a\ud800b', 'a?b'],
  ])('hold no %s', (_what, text, cleaned) => {
    expect(cleanedMessage(text)).toBe(cleaned)
  })

  it('are no longer than 256 characters, and end in no half of a pair', () => {
    expect(cleanedMessage('x,'.repeat(300))).toHaveLength(256)
    expect(cleanedMessage(`${'x,'.repeat(127)}x😀`)).toBe(`${'x,'.repeat(127)}x`)
  })
})

describe('a code about the prompt', () => {
  it.each([
    'context_window_exceeded',
    'ContextWindowExceededError',
    'context-length-exceeded',
    'exceed_context_size_error',
    'input_too_long',
    'prompt_too_large',
    'max_context_length_exceeded',
    'tokens_limit_reached',
    'too_many_tokens',
  ])('keeps its name: %s', (code) => {
    expect(isRequestCode(code)).toBe(true)
  })

  it.each([
    'rate_limit_exceeded',
    'insufficient_quota',
    'token_limit_exceeded',
    'input_tokens_per_minute_exceeded',
    'payment_input_too_long',
    'request_too_large',
  ])('is told from others: %s', (code) => {
    expect(isRequestCode(code)).toBe(false)
  })
})

describe('the advice for the reasons of official and hosted facilitators', () => {
  const facts = { from: '0xabc', price: '0.001 USDC', network: 'base' }
  it.each<[string, RegExp]>([
    ['invalid_exact_svm_payload_transaction_sender_ata_not_found', /0xabc holds less than 0\.001 USDC/],
    ['invalid_batch_settlement_evm_insufficient_balance', /0xabc holds less/],
    ['nonce_reused', /saw this payment before/],
    ['duplicate_settlement', /saw this payment before/],
    ['settle_exact_svm_block_height_exceeded', /time of validity/],
    ['invalid_upto_svm_payload_not_yet_active', /time of validity/],
    ['invalid_exact_evm_missing_eip712_domain', /domain \(name and version\)/],
    ['invalid_exact_evm_payload_undeployed_smart_wallet', /pay from a plain wallet/],
    ['invalid_exact_evm_payload_from_address_kyt', /screens addresses/],
    ['invalid_exact_evm_network_mismatch', /does not settle on base/],
    ['invalid_exact_evm_scheme', /does not settle on base/],
    ['invalid_exact_evm_payload_authorization_value_too_low', /other terms than it offered/],
    ['invalid_permit2_spender', /other terms than it offered/],
    ['invalid_x402_version', /cannot read the payment/],
    ['extension_echo_mismatch', /cannot read the payment/],
    ['invalid_exact_evm_transaction_simulation_failed', /transfer failed on the chain/],
    ['settle_exact_failed_onchain', /transfer failed on the chain/],
    ['invalid_exact_svm_payload_unknown_fifth_instruction', /no transaction of this form/],
    ['unexpected_settle_error', /facilitator could not settle/],
    ['settle_exact_node_failure', /facilitator could not settle/],
  ])('%s helps', (code, expected) => {
    expect(adviceFor({ code, message: undefined }, facts).join(' ')).toMatch(expected)
  })
})
