/** 402 replies as a seller might send them: right, slightly wrong, and nothing like it. */
import * as fc from 'fast-check'
import { encodeHeader } from '../../kit/seller-answers.ts'

/** The status, headers and body of a reply. */
export interface Reply402 {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'
export const PAYEE = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

/** Whatever JSON can hold, names of prototypes included. */
const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    1e308,
    '',
    '0x',
    [],
    {},
    [[[[]]]],
    { toString: 1 },
    '\u0000',
    '💸',
  ),
)

const amount = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('1000', '1', '99999', '100000') },
  fc.constantFrom(
    '100001',
    '0',
    '00',
    '-1',
    '+1',
    '01',
    '1.0',
    '1e3',
    '0x3e8',
    '１０００',
    ' 1000',
    '1000\n',
    '1_000',
    '',
  ),
  fc.bigInt(0n, 2n ** 300n).map(String),
  fc.stringMatching(/^[0-9]{1,90}$/),
  junk,
)
const network = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('eip155:84532', 'base-sepolia') },
  fc.constantFrom(
    'eip155:8453',
    'base',
    'EIP155:84532',
    'eip155:084532',
    'eip155:84532 ',
    'solana',
    'eip155:0',
  ),
  junk,
)
const address = (right: string): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(right, right.toLowerCase()) },
    fc.constantFrom(
      right.toUpperCase(),
      right.slice(2),
      `${right}0`,
      right.slice(0, -1),
      ` ${right}`,
      `0x${'0'.repeat(40)}`,
    ),
    fc.stringMatching(/^0x[0-9a-fA-F]{40}$/),
    junk,
  )
const seconds = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<unknown>(60, 1, 600, 86_400, undefined) },
  fc.constantFrom<unknown>(0, -1, 86_401, 1e308, 0.5, '60', Number.MAX_SAFE_INTEGER),
  junk,
)
const extra = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<unknown>({ name: 'USDC', version: '2' }, {}) },
  fc.constantFrom<unknown>(
    { name: 'Evil', version: '9' },
    { assetTransferMethod: 'permit2' },
    { assetTransferMethod: 'permit2', facilitatorAddress: `0x${'f'.repeat(40)}` },
    { assetTransferMethod: 'permit2', facilitatorAddress: '0x', spender: PAYEE },
    { assetTransferMethod: 'erc7710' },
    { assetTransferMethod: 'eip3009', eip712Domain: { name: 'x', chainId: 1 } },
  ),
  junk,
)

const offer = (version: 1 | 2): fc.Arbitrary<unknown> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .record(
          {
            scheme: fc.oneof(
              { weight: 6, arbitrary: fc.constant('exact') },
              fc.constantFrom('upto', 'EXACT', 'cash'),
              junk,
            ),
            network,
            [version === 2 ? 'amount' : 'maxAmountRequired']: amount,
            asset: address(USDC),
            payTo: address(PAYEE),
            maxTimeoutSeconds: seconds,
            extra,
          },
          { noNullPrototype: true },
        )
        .chain((fields) =>
          fc.oneof(
            { weight: 6, arbitrary: fc.constant(fields) },
            // A field missing, one doubled under the other version's name, and fields nobody asked for.
            fc.constantFrom(...Object.keys(fields)).map((name) => without(fields, name)),
            amount.map((other) => ({ ...fields, [version === 2 ? 'maxAmountRequired' : 'amount']: other })),
            fc.dictionary(fc.string(), junk, { maxKeys: 3 }).map((more) => ({ ...more, ...fields })),
          ),
        ),
    },
    junk,
  )

const message = (version: 1 | 2): fc.Arbitrary<unknown> =>
  fc.record(
    {
      x402Version: fc.oneof(
        { weight: 8, arbitrary: fc.constant<unknown>(version) },
        fc.constantFrom<unknown>(3, '2', 0, null),
        junk,
      ),
      accepts: fc.oneof(
        { weight: 8, arbitrary: fc.array(offer(version), { minLength: 1, maxLength: 5 }) },
        fc.array(offer(version), { minLength: 30, maxLength: 40 }),
        junk,
      ),
      error: fc.oneof(fc.string(), junk),
      resource: fc.oneof(fc.constant({ url: 'http://127.0.0.1/', description: '', mimeType: '' }), junk),
      extensions: fc.oneof(fc.constant({}), fc.constant({ 'sign-in-with-x': {} }), junk),
    },
    { noNullPrototype: true, requiredKeys: ['x402Version', 'accepts'] },
  )

/** Takes bytes apart: cuts, doubles or changes them. */
const damaged = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(text, fc.nat(), fc.nat(255), fc.constantFrom('cut', 'flip', 'double'))
    .map(([whole, at, byte, how]) => {
      const place = whole.length === 0 ? 0 : at % whole.length
      if (how === 'cut') return whole.slice(0, place)
      if (how === 'double') return whole.slice(0, place) + whole
      return whole.slice(0, place) + String.fromCharCode(byte) + whole.slice(place + 1)
    })

const json = (version: 1 | 2): fc.Arbitrary<string> => message(version).map((value) => JSON.stringify(value))

const headerValue = fc.oneof(
  { weight: 8, arbitrary: message(2).map(encodeHeader) },
  message(1).map(encodeHeader),
  damaged(message(2).map(encodeHeader)),
  damaged(json(2)).map((text) => Buffer.from(text, 'latin1').toString('base64')),
  fc.base64String(),
  fc.constantFrom('', '=', 'e30=', 'bnVsbA==', 'A'.repeat(70_000)),
  fc.string(),
)

const bodyBytes = fc.oneof(
  { weight: 6, arbitrary: json(1).map((text) => Buffer.from(text)) },
  damaged(json(1)).map((text) => Buffer.from(text, 'latin1')),
  json(2).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom(
      '',
      '{}',
      'null',
      '[]',
      '<html>pay</html>',
      '['.repeat(100_000),
      `{"x402Version":1,"accepts":[${'{},'.repeat(50)}{}]}`,
    )
    .map((text) => Buffer.from(text)),
)

/** One reply. */
export const reply402: fc.Arbitrary<Reply402> = fc
  .record({
    header: fc.option(headerValue, { nil: undefined, freq: 3 }),
    protocol: fc.option(fc.constantFrom('Payment realm="x"', 'Basic', 'Payment'), {
      nil: undefined,
      freq: 1,
    }),
    body: bodyBytes,
  })
  .map(({ header, protocol, body }) => ({
    headers: {
      ...(header === undefined ? {} : { 'payment-required': header }),
      ...(protocol === undefined ? {} : { 'www-authenticate': protocol }),
    },
    body,
  }))

function without(fields: object, name: string): object {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name))
}
