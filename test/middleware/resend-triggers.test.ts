import { expect, test } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'

const bodyOf = (message: string): unknown =>
  new TollwayError({
    code: 'payment_rejected',
    message: 'The seller refused.',
    seller: { status: 400, code: 'c', message },
  }).toBody().error.seller

test.each([
  'Conversation roles must alternate user/assistant/user/assistant',
  'Last message must have role `user`',
  'unknown field: parameter index is not a valid field',
  "This model's maximum context length is 10 tokens",
  'The input is too long',
])('rule 5: a body leaves out words at which clients resend a changed request: %s', (words) => {
  expect(bodyOf(words)).toEqual({ status: 400, code: 'c', message: null })
})

test('a body keeps what else a seller says', () => {
  expect(bodyOf('the paying wallet holds too little')).toMatchObject({
    message: 'the paying wallet holds too little',
  })
})
