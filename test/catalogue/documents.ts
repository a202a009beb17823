/** Catalogues in the shape that their makers publish, with sellers that do not exist. */

/** SeekerClaw's `catalog.json`, version 2. */
export const CATALOG_V2 = {
  version: 2,
  generated_at: '2026-05-18T10:00:00Z',
  manifest_checked_at: '2026-05-16T14:00:00Z',
  source: 'test',
  entries: [
    {
      id: 'wolfram-alpha',
      service_id: 'wolframalpha',
      name: 'Wolfram Alpha',
      upstream_ref: {
        operator: 'paysponge',
        slug: 'wolframalpha',
        pay_md_path: 'providers/paysponge/wolframalpha/PAY.md',
        service_url: 'https://wolfram.seller.example',
      },
      endpoint: { method: 'GET', path: '/v1/result', cost_usdc: 0.01 },
      intents: ['math', 'physics', 'convert units'],
      summary: 'Computes answers.',
      doc_file: 'services/wolfram-alpha.md',
      verification: {
        last_probed_at: '2026-05-16T11:13:50Z',
        last_capture_path: null,
        last_captured_at: null,
        probe_status: 'parsed_ok',
      },
      field_of_tomorrow: { kept: true },
    },
    {
      id: 'wolfram-alpha-llm',
      service_id: 'wolframalpha',
      name: 'Wolfram Alpha (LLM API)',
      upstream_ref: {
        operator: 'paysponge',
        slug: 'wolframalpha',
        service_url: 'https://wolfram.seller.example/',
      },
      endpoint: { method: 'GET', path: '/v2/llm-api', cost_usdc: 0.02 },
      intents: ['complex math'],
      summary: 'Computes prose.',
    },
  ],
}

/** `catalog.json`, version 1: a service a line, without addresses. */
export const CATALOG_V1 = {
  generatedAt: '2026-05-15',
  services: [
    {
      id: 'textbelt-sms',
      name: 'Textbelt SMS',
      file: 'services/textbelt-sms.md',
      cost_usdc: 0.02,
      method: 'POST',
      intents: ['send sms', 'send text message'],
      summary: 'Sends a message to a phone.',
    },
  ],
}

/** `unsupported.json`. */
export const UNSUPPORTED = {
  version: 2,
  generated_at: '2026-05-18T10:00:00Z',
  reasons: {
    mpp_protocol: { label: 'MPP', explanation: 'Asks for a payment by **MPP**.', actionable: false },
    requires_binary_response: { label: 'Binary', explanation: 'Answers with files.', actionable: true },
  },
  entries: [
    {
      id: 'fal',
      service_id: 'fal',
      name: 'Fal',
      upstream_ref: { operator: 'x', slug: 'fal', service_url: 'https://fal.seller.example' },
      endpoint: { method: 'POST', path: '/flux', cost_usdc: null },
      reason: 'requires_binary_response',
      evidence_basis: 'product-family-inference',
      note: 'Makes pictures.',
      audit_pending: [{ method: 'POST', path: '/sdxl', cost_usdc: 0.01, deferred_to: 'X-1' }],
      verification: { last_probed_at: '2026-05-16T11:13:50Z', probe_status: 'parsed_ok' },
    },
    {
      id: 'translate',
      service_id: 'translate',
      name: 'Translate',
      upstream_ref: { operator: 'x', slug: 'translate', service_url: null },
      endpoint: { method: 'GET', path: '/', cost_usdc: null },
      reason: 'siwx_auth_required',
    },
  ],
}

/** Front matter of pay-skills' `PAY.md`. */
export const PAY_MD = `---
name: chat
title: Seller's models
description: Chat completions of several open models, priced by the token, no account needed at all.
use_case: Ask an open model without an account, for agents that pay as they go.
category: ai_ml
service_url: https://models.seller.example
endpoints:
  - method: POST
    path: v1/chat/completions
    description: A chat completion of an open model, streamed or whole.
    pricing:
      dimensions:
        - { direction: input, unit: tokens, scale: 1000000, tiers: [{ price_usd: 0.4 }] }
        - { direction: output, unit: tokens, scale: 1000000, tiers: [{ up_to: 10, price_usd: 1.2 }, { price_usd: 1 }] }
---
# Seller's models
`

/** pay-skills' published index; details are found below \`base_url\`. */
export const skillsIndex = (baseUrl: string): object => ({
  version: 2,
  generated_at: '2026-08-02T00:00:00Z',
  base_url: baseUrl,
  provider_count: 2,
  providers: [
    {
      fqn: 'seller/chat',
      title: "Seller's models",
      description: 'Chat completions.',
      use_case: 'Ask a model.',
      category: 'ai_ml',
      service_url: 'https://models.seller.example',
      endpoint_count: 1,
      has_metering: true,
      has_free_tier: false,
      min_price_usd: 0.4,
      max_price_usd: 1.2,
      sha: 'x',
    },
    {
      fqn: 'seller/maps',
      title: 'Maps',
      description: 'Places near a point.',
      use_case: 'Find a hotel.',
      category: 'maps',
      service_url: 'https://maps.seller.example',
      min_price_usd: 0.01,
      max_price_usd: 0.01,
    },
  ],
})

/** The detail of the first provider of {@link skillsIndex}. */
export const SKILL_DETAIL = {
  fqn: 'seller/chat',
  name: 'chat',
  operator: 'seller',
  origin: 'seller',
  title: "Seller's models",
  description: 'Chat completions.',
  use_case: 'Ask a model.',
  category: 'ai_ml',
  service_url: 'https://models.seller.example',
  endpoints: [
    {
      method: 'POST',
      path: '/v1/chat/completions',
      description: 'A chat completion.',
      pricing: {
        dimensions: [{ direction: 'input', unit: 'tokens', scale: 1_000_000, tiers: [{ price_usd: 0.4 }] }],
      },
    },
  ],
}

/** Obol's `/api/services.json`. */
export const SERVICES = [
  {
    name: 'qwen',
    namespace: 'llm',
    type: 'inference',
    endpoint: 'https://obol.seller.example/services/qwen',
    price: '0.001 USDC per request',
    priceRaw: '0.001',
    priceUnit: 'perRequest',
    priceAtomicUnits: '1000',
    payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
    network: 'base-sepolia',
    caip2Network: 'eip155:84532',
    chainId: 84532,
    description: 'Qwen, served at home.',
    isDemo: false,
    model: 'qwen3.5:9b',
    asset: {
      address: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
      symbol: 'USDC',
      decimals: 6,
      transferMethod: 'eip3009',
      eip712Domain: { name: 'USDC', version: '2' },
    },
  },
  {
    name: 'tuner',
    namespace: 'llm',
    type: 'fine-tuning',
    endpoint: 'https://obol.seller.example/services/tuner',
    price: '2 OBOL per hour',
    priceRaw: '2',
    priceUnit: 'perHour',
    payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
    network: 'ethereum',
    description: 'Tunes a model.',
    isDemo: false,
    asset: { symbol: 'OBOL', decimals: 18 },
    drainEndsAt: '2026-12-24T00:00:00Z',
  },
]

/** A seller's OpenAPI with both extensions. */
export const OPENAPI = {
  openapi: '3.1.0',
  info: { title: 'Weather Ltd', description: 'Weather.' },
  paths: {
    '/forecast': {
      get: {
        operationId: 'forecast',
        summary: 'Weather of the next days',
        tags: ['weather'],
        'x-payment-info': {
          price: { mode: 'fixed', currency: 'USD', amount: '0.010000' },
          protocols: [{ x402: {} }],
        },
      },
      post: { summary: 'free' },
    },
    '/history': {
      get: {
        'x-payment-info': {
          price: { mode: 'dynamic', currency: 'USD', min: '0.01', max: '0.05' },
          protocols: [{ mpp: { method: 'tempo', intent: 'charge', currency: 'x' } }],
        },
      },
    },
    '/services/qwen/v1/chat/completions': {
      post: {
        requestBody: {
          content: { 'application/json': { schema: { properties: { model: { enum: ['qwen3.5:9b'] } } } } },
        },
        'x-x402-payment': {
          scheme: 'exact',
          network: 'eip155:84532',
          payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
          maxTimeoutSeconds: 300,
          asset: { address: '0x036CbD53842c5426634e7929541eC2318f3dCF7e', symbol: 'USDC' },
          price: { perRequest: '0.001', perRequestAtomic: '1000' },
        },
      },
    },
  },
}
