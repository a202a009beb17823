import { expect, test } from 'vitest'
import { operationOf, providerOf } from '../../src/core/telemetry/gen-ai.ts'

test.each([
  ['/chat/completions', 'chat'],
  ['/responses', 'chat'],
  ['/messages', 'chat'],
  ['/completions', 'text_completion'],
  ['/embeddings', 'embeddings'],
  ['/images/generations', 'generate_content'],
  ['/audio/transcriptions', 'generate_content'],
  // The convention has no names for these: it allows others.
  ['/moderations', 'moderations'],
  ['/messages/count_tokens', 'count_tokens'],
  ['/responses/input_tokens', 'count_tokens'],
  ['other', 'other'],
])('the operation of %s is %s, as OpenTelemetry names it', (endpoint, operation) => {
  expect(operationOf(endpoint)).toBe(operation)
})

test('the provider is the host of the seller or upstream, unless the route names it', () => {
  expect(providerOf({ apiBase: 'https://seller.example.com/services/v1' })).toBe('seller.example.com')
  expect(providerOf({ apiBase: 'http://127.0.0.1:4000/v1' })).toBe('127.0.0.1:4000')
  expect(providerOf({ apiBase: 'https://x.example/v1', provider: 'openai' })).toBe('openai')
})
