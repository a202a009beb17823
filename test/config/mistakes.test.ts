import { describe, expect, it } from 'vitest'
import { evmNetworkNames, networkNames } from '../../src/core/money/assets.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { mistakesOf, problemsIn } from './config-file.ts'

/** A route, so that a single line of interest can stand beside it. */
const ROUTE = 'model_list: [{ model_name: a, api_base: "http://127.0.0.1:1/v1" }]\n'

/** A paid route over two lines. */
const PAID =
  'payers: { w: { kind: direct, key: "${env:W}", networks: [base] } }\n' +
  'model_list: [{ model_name: a, api_base: "https://s.example.com/v1", payer: w }]\n'

const ENV = { W: 'wallet', K1: 'key-one', K2: 'key-two' }

function describeEach(cases: Readonly<Record<string, readonly [text: string, ...expected: string[]]>>): void {
  for (const [name, [text, ...expected]] of Object.entries(cases)) {
    it(`a configuration is refused for ${name}`, () => {
      expect(mistakesOf(text, ENV)).toEqual(expected)
    })
  }
}

describe('keys', () => {
  describeEach({
    'a misspelt key and names the right one': [
      'bugdets: []\n',
      '1:1 bugdets: is not a known key. Did you mean "budgets"?',
    ],
    'a key in camel case': [
      'bodyLimit: 1mb\n',
      '1:1 bodyLimit: is not a known key. Did you mean "body_limit"?',
    ],
    'a key that belongs elsewhere': [
      'store: memory\nmax_usd_per_request: "1"\n',
      '2:1 max_usd_per_request: is not a known key here. It belongs under policy.',
    ],
    'a key that belongs at the top': [
      'audit: { body_limit: 1mb }\n',
      '1:10 audit.body_limit: is not a known key here. It belongs at the top.',
    ],
    'a key like no other and lists the known ones': [
      'stream: { zzzzzzzzzzzzzzz: 1 }\n',
      '1:11 stream.zzzzzzzzzzzzzzz: is not a known key. Known: keepalive_seconds, on_disconnect, on_truncated.',
    ],
    'a key with strange characters, printably': [
      'audit: { "p\\u001bth": x }\n',
      '1:10 audit["p?th"]: is not a known key. Did you mean "path"?',
    ],
    ['__proto__']: [
      '__proto__: { listen: x }\n',
      '1:1 __proto__: is not a known key. Known: listen, store, upstream, callers, keys, payers, ' +
        'model_list, router, budgets, notify, tags, policy, assets, chains, reconcile, metrics, audit, log, stream, timeouts, body_limit, idempotency, explorers, admin.',
    ],
    'an empty section': ['budgets:\n', '1:1 budgets: is empty. Give it a value, or remove the key.'],
    'a list where keys belong': [
      'audit: []\n',
      '1:1 audit: must be a mapping of keys to values, not a list.',
    ],
    'keys where a list belongs': ['budgets: { all: 1 }\n', '1:1 budgets: must be a list, not a mapping.'],
    'text where keys belong': [
      'payers: base\n',
      '1:1 payers: must be a mapping of keys to values, not text.',
    ],
    'text as a list item': [
      'callers: [openclaw]\n',
      '1:11 callers[0]: must be a mapping of keys to values, not text.',
    ],
  })
})

describe('keys that are planned', () => {
  describeEach({
    'a payer that calls npx, and a shim that others reach': [
      'payers:\n  br: { kind: agentcash, mode: spawn, binary: npx }\n  x: { kind: obol, mode: sidecar, url: "http://127.0.0.1:1", remote_model: q, shim: 0.0.0.0:8403, networks: [base] }\n',
      '2:26 payers.br.mode: must be one of wallet, mcp, cli.',
      '3:79 payers.x.shim: must be a loopback address such as 127.0.0.1:8403: run the x402-buyer on this machine, or tunnel to it.',
    ],
  })
})

describe('values', () => {
  describeEach({
    'a limit that YAML reads as a number': [
      'budgets: [{ name: a, limit_usd: 5.00, window: day }]\n',
      '1:22 budgets[0].limit_usd: is a number, and numbers lose digits. Money is a decimal string: put it in quotes, such as "5.00".',
    ],
    'a ceiling that YAML reads as a number': [
      'policy: { max_usd_per_request: 0.1 }\n',
      '1:11 policy.max_usd_per_request: is a number, and numbers lose digits. Money is a decimal string: put it in quotes, such as "0.10".',
    ],
    'a node that is not reached over HTTP': [
      'chains: { base: { rpc: "wss://rpc.example.com" } }\n',
      '1:19 chains.base.rpc: must be an http:// or https:// address of a JSON-RPC node.',
    ],
    'a chain nobody can pay on': [
      'chains: { fantom: { rpc: "https://rpc.example.com" } }\n',
      `1:11 chains.fantom: unknown network. Known: ${networkNames().join(', ')}.`,
    ],
    'a network that is there twice under two names': [
      'chains:\n  base: { rpc: "https://one.example.com" }\n  "eip155:8453": { rpc: "https://two.example.com" }\n',
      '3:3 chains["eip155:8453"]: is the same network as base. Remove one of the two.',
    ],
    'a limit finer than a micro-dollar': [
      'budgets: [{ name: a, limit_usd: "0.0000001", window: day }]\n',
      '1:22 budgets[0].limit_usd: must be an amount in USD with at most 6 decimals, without sign or unit, such as "5.00".',
    ],
    'a negative limit': [
      'budgets: [{ name: a, limit_usd: "-1", window: day }]\n',
      '1:22 budgets[0].limit_usd: must be an amount in USD with at most 6 decimals, without sign or unit, such as "5.00".',
    ],
    'a budget without limit and window': [
      'budgets:\n  - name: a\n',
      '2:5 budgets[0].window: is missing. Add it, such as window: day.',
      '2:5 budgets[0].limit_usd: is missing. Add it, such as limit_usd: "5.00".',
    ],
    'an unknown window': [
      'budgets: [{ name: a, limit_usd: "1", window: dya }]\n',
      '1:38 budgets[0].window: must be request, hour, day, week, month or lifetime, or a rolling length of minutes, hours or days up to 366d, such as 30m, 24h or 7d. Did you mean "day"?',
    ],
    'a rolling window that is longer than a year': [
      'budgets: [{ name: a, limit_usd: "1", window: 367d }]\n',
      '1:38 budgets[0].window: must be request, hour, day, week, month or lifetime, or a rolling length of minutes, hours or days up to 366d, such as 30m, 24h or 7d.',
    ],
    'an unknown scope': [
      'budgets: [{ name: a, limit_usd: "1", window: day, per: temm }]\n',
      '1:51 budgets[0].per: must be caller, team, model, payer, seller, tag or tag.<name>. Did you mean "team"?',
    ],
    'a limit in whole tokens': [
      'budgets: [{ name: a, limit: "1.5", asset: USDC, window: day }]\n',
      '1:22 budgets[0].limit: must be an amount in the smallest units of the asset: digits alone, such as "1000000".',
    ],
    'a tag with a comma': [
      'tags: { declared: ["a,b"] }\n',
      '1:20 tags.declared[0]: must be 1 to 64 letters, digits or the characters : . _ and -.',
    ],
    'a header that is none': [
      'tags: { header: "x tags" }\n',
      '1:9 tags.header: must be the name of a request header, such as x-tollway-tags.',
    ],
    'more tags than metrics can tell apart': [
      `tags: { declared: [${Array.from({ length: 101 }, (_, n) => `t${n}`).join(', ')}] }\n`,
      '1:9 tags.declared: must be at most 100.',
    ],
    'an unknown time zone': [
      'budgets: [{ name: a, limit_usd: "1", window: day, timezone: Mars/Base }]\n',
      '1:51 budgets[0].timezone: is not a time zone. Use an IANA name such as Europe/Berlin or UTC.',
    ],
    'a budget name that no metric label carries': [
      'budgets: [{ name: All Of It, limit_usd: "1", window: day }]\n',
      '1:13 budgets[0].name: must be 1 to 40 of the characters a-z, 0-9, _ and -.',
    ],
    'a payer name that no metric label carries': [
      'payers: { "My Wallet": { kind: direct, key: "${env:W}", networks: [base] } }\n',
      '1:11 payers["My Wallet"]: is not a usable name: it must be 1 to 40 of the characters a-z, 0-9, _ and -.',
    ],
    'a payer without networks': [
      'payers: { w: { kind: direct, key: "${env:W}", networks: [] } }\n',
      '1:47 payers.w.networks: is an empty list. Name at least one.',
    ],
    'no ceiling beside a payer that signs': [
      'payers: { w: { kind: direct, key: "${env:W}", networks: [base] } }\npolicy: { max_usd_per_request: none }\n',
      '2:11 policy.max_usd_per_request: is none, but a payer would then sign any price. Set a ceiling, such as "0.10".',
    ],
    'an unknown kind of payer': [
      'payers: { w: { kind: bank, key: "${env:W}", networks: [base] } }\n',
      '1:16 payers.w.kind: must be one of direct, obol, agentcash, solana.',
    ],
    'a network by its id alone, without a token': [
      'payers: { w: { kind: direct, key: "${env:W}", networks: ["eip155:8435"] } }\n',
      '1:58 payers.w.networks[0]: has no token that could be paid with. Correct the chain id, or add its token: assets: [{ network: "eip155:8435", address: "0x…", symbol: USDC, decimals: 6, usd: "1", name: "USD Coin", version: "2" }].',
    ],
    'a chain id with a leading zero': [
      'payers: { w: { kind: direct, key: "${env:W}", networks: ["eip155:08453"] } }\n',
      `1:58 payers.w.networks[0]: unknown network. Known: ${evmNetworkNames().join(', ')}.`,
    ],
    'a method on Solana': [
      'assets: [{ network: solana, address: "So11111111111111111111111111111111111111112", symbol: X, decimals: 9, methods: [permit2] }]\n',
      '1:109 assets[0].methods: has a meaning on EVM networks only. Remove it.',
    ],
    'an unknown network': [
      'payers: { w: { kind: direct, key: "${env:W}", networks: [bsae] } }\n',
      '1:58 payers.w.networks[0]: unknown network "bsae". Did you mean "base"?',
    ],
    'an address without quotes': [
      `${PAID}policy: { sellers: { "https://s.example.com": { pay_to: [0x209693bc6afc0c5328ba36faf03c514ef312287c] } } }\n`,
      '3:58 policy.sellers["https://s.example.com"].pay_to[0]: must be text, and is read as a number. Put it in quotes.',
    ],
    'an address with one wrong letter, by its checksum': [
      `${PAID}policy: { sellers: { "https://s.example.com": { pay_to: ["0x209693Bc6afc0C5328bA36FaF03C514EF312287D"] } } }\n`,
      '3:58 policy.sellers["https://s.example.com"].pay_to[0]: must be an address of 0x and 40 hex digits with a right checksum (EIP-55), or all in lower case; on Solana 32 bytes in base58. Copy it again.',
    ],
    'a payee that is nobody': [
      `${PAID}policy: { sellers: { "https://s.example.com": { pay_to: ["0x000000000000000000000000000000000000dead"] } } }\n`,
      `3:58 policy.sellers["https://s.example.com"].pay_to[0]: is a burn address: money sent there is lost. Name the seller's address.`,
    ],
    'any payee beside an address': [
      `${PAID}policy: { sellers: { "https://s.example.com": { pay_to: [any, "0x209693bc6afc0c5328ba36faf03c514ef312287c"] } } }\n`,
      '3:49 policy.sellers["https://s.example.com"].pay_to: lists any together with addresses. Keep one of the two.',
    ],
    'any payee, misspelt': [
      `${PAID}policy: { sellers: { "https://s.example.com": { pay_to: Any } } }\n`,
      '3:49 policy.sellers["https://s.example.com"].pay_to: must be a list, such as ["0x209693bc6afc0c5328ba36faf03c514ef312287c"], not text.',
    ],
    'any payee of a misspelt seller': [
      `${PAID}policy: { sellers: { "https://s.exmaple.com": { pay_to: any } } }\n`,
      '3:22 policy.sellers["https://s.exmaple.com"]: unknown seller: no paid route has this origin, so the entry would protect nothing. Did you mean "https://s.example.com"?',
    ],
    'a seller that is no origin': [
      `${PAID}policy: { sellers: { "https://s.example.com/v1": { pay_to: ["0x209693bc6afc0c5328ba36faf03c514ef312287c"] } } }\n`,
      '3:22 policy.sellers["https://s.example.com/v1"]: is not a usable name: it must be the origin of an api_base: https://host or https://host:port, in lower case, with nothing after it.',
    ],
    'a validity below and above the bounds': [
      'policy: { max_validity_seconds: 9 }\n',
      '1:11 policy.max_validity_seconds: must be at least 10.',
    ],
    'a validity over a day': [
      'policy: { max_validity_seconds: 86401 }\n',
      '1:11 policy.max_validity_seconds: must be at most 86400.',
    ],
    'a validity that is not whole': [
      'policy: { max_validity_seconds: 10.5 }\n',
      '1:11 policy.max_validity_seconds: must be a whole number, such as 600, not a fraction.',
    ],
    'a model name that YAML reads as a number': [
      'model_list: [{ model_name: 4, api_base: "http://127.0.0.1:1" }]\n',
      '1:16 model_list[0].model_name: must be text, and is read as a number. Put it in quotes, such as "paid/*".',
    ],
    'a model name with two stars side by side': [
      'model_list: [{ model_name: "a/**", api_base: "http://127.0.0.1:1" }]\n',
      '1:16 model_list[0].model_name: must be 1 to 256 characters without spaces and without **, such as "paid/*" or gpt-4o.',
    ],
    'an api_base that is no URL': [
      'upstream: { api_base: seller.example.com }\n',
      '1:13 upstream.api_base: is not a URL. Write it as https://host/v1.',
    ],
    'an api_base of another protocol': [
      'upstream: { api_base: "ftp://seller.example.com" }\n',
      '1:13 upstream.api_base: must begin with https:// or http://. Write it as https://host/v1.',
    ],
    'an api_base with credentials': [
      'upstream: { api_base: "https://user:pass@seller.example.com" }\n',
      '1:13 upstream.api_base: holds a user name or password. Remove it; a bearer key goes under api_key.',
    ],
    'an api_base with a query': [
      'upstream: { api_base: "https://seller.example.com/v1?key=1" }\n',
      '1:13 upstream.api_base: has a query (?) or fragment (#), and the request path is appended to it. Remove that part.',
    ],
    'an api_base with a fragment': [
      'upstream: { api_base: "https://seller.example.com/v1#" }\n',
      '1:13 upstream.api_base: has a query (?) or fragment (#), and the request path is appended to it. Remove that part.',
    ],
    'a passed path that no request can have': [
      'upstream: { api_base: "http://127.0.0.1:1", allow_paths: [assistants, "/a/../b", "/*"] }\n',
      ...[59, 71, 82].map(
        (column, index) =>
          `1:${column} upstream.allow_paths[${index}]: must be a whole path such as /assistants, or end in /* as in /assistants/*, without dots, encoding or query.`,
      ),
    ],
    'a listen address without host': [
      'listen: ":8402"\n',
      '1:1 listen: must be host:port, such as 127.0.0.1:8402 or "[::1]:8402".',
    ],
    'a listen address that is a port only': [
      'listen: 8402\n',
      '1:1 listen: must be text, and is read as a number. Put it in quotes, such as 127.0.0.1:8402.',
    ],
    'a store that is neither': [
      'store: ./tollway.db\n',
      '1:1 store: must be memory, or sqlite: and a path, such as sqlite:./tollway.db, or postgres://user@host/database.',
    ],
    'a Postgres address without a user': [
      'store: postgres://127.0.0.1/tollway\n',
      '1:1 store: the Postgres address names no user.',
    ],
    'a Postgres address with a parameter that does not exist': [
      'store: postgres://u@127.0.0.1/tollway?pool_size=3\n',
      '1:1 store: the Postgres address has a parameter that does not exist here; there are sslmode, sslrootcert, schema, pool_max, host.',
    ],
    'a body limit in a unit that is not known': [
      'body_limit: 32MiB\n',
      '1:1 body_limit: must be a size from 1kb to 1gb, such as 32mb.',
    ],
    'a body limit of nothing': [
      'body_limit: 0\n',
      '1:1 body_limit: must be a size from 1kb to 1gb, such as 32mb.',
    ],
    'a body limit that is a list': [
      'body_limit: []\n',
      '1:1 body_limit: must be a size from 1kb to 1gb, such as 32mb.',
    ],
    'a timeout in quotes': [
      'timeouts: { connect_seconds: "10" }\n',
      '1:13 timeouts.connect_seconds: must be a number, such as 10, not text.',
    ],
    'a timeout of zero': [
      'timeouts: { idle_seconds: 0 }\n',
      '1:13 timeouts.idle_seconds: must be at least 0.001.',
    ],
    'an endless timeout': [
      'timeouts: { idle_seconds: .inf }\n',
      '1:13 timeouts.idle_seconds: must be a number, such as 300, not infinity.',
    ],
    'another way to treat a leaving client': [
      'stream: { on_disconnect: ignore }\n',
      '1:11 stream.on_disconnect: must be one of abort, drain.',
    ],
    'a host with a port': [
      'admin: { hosts: ["localhost:8402"] }\n',
      '1:18 admin.hosts[0]: must be a host name or address without scheme, port or path, such as gateway.internal or "[::1]".',
    ],
    'an asset price that is a number': [
      'assets: [{ network: base, address: "0x209693bc6afc0c5328ba36faf03c514ef312287c", symbol: T, decimals: 18, usd: 0.05 }]\n',
      '1:107 assets[0].usd: is a number, and numbers lose digits. Money is a decimal string: put it in quotes, such as "0.05".',
    ],
  })
})

describe('values held against each other', () => {
  describeEach({
    'to listen for other machines without callers': [
      'listen: 0.0.0.0:8402\n',
      '1:1 listen: is reachable from other machines, and no callers are set: anyone could spend. Add callers with keys, such as callers: [{ id: me, key: "${env:TOLLWAY_KEY}" }], or listen on 127.0.0.1.',
    ],
    'to listen on every IPv6 address with an empty list of callers': [
      'listen: "[::]:8402"\ncallers: []\n',
      '1:1 listen: is reachable from other machines, and no callers are set: anyone could spend. Add callers with keys, such as callers: [{ id: me, key: "${env:TOLLWAY_KEY}" }], or listen on 127.0.0.1.',
    ],
    'limits of no subject': [
      'budgets: [{ name: a, limits: { ci: "1" }, window: day }]\n',
      '1:22 budgets[0].limits: belongs to subjects. Add per, such as per: caller.',
    ],
    'no limits at all': [
      'budgets: [{ name: a, limits: {}, per: payer, window: day }]\n',
      '1:22 budgets[0].limits: is empty. Name a subject, such as default: "0.50".',
    ],
    'two limits for all others': [
      'budgets: [{ name: a, limit_usd: "1", limits: { default: "2" }, per: payer, window: day }]\n',
      '1:48 budgets[0].limits.default: says the same as limit_usd: what all other subjects may spend. Remove one of the two.',
    ],
    'a limit per subject that is no money': [
      'budgets: [{ name: a, limits: { default: 2 }, per: payer, window: day }]\n',
      '1:32 budgets[0].limits.default: is a number, and numbers lose digits. Money is a decimal string: put it in quotes.',
    ],
    'tokens beside USD': [
      'budgets: [{ name: a, limit_usd: "1", limit_tokens: 5, window: day }]\n',
      '1:38 budgets[0].limit_tokens: cannot be combined with limit_usd: a budget has one limit. Remove one of the two.',
    ],
    'tokens of an asset': [
      'budgets: [{ name: a, limit_requests: 5, asset: USDC, window: day }]\n',
      '1:41 budgets[0].asset: cannot be combined with limit_usd. Replace limit_usd by limit in the smallest units of the asset, or remove asset.',
    ],
    'a limit of an unknown caller': [
      'callers: [{ id: ci, key: "${env:K1}" }]\nbudgets: [{ name: a, per: caller, limits: { cl: "1", default: "2" }, window: day }]\n',
      '2:45 budgets[0].limits.cl: unknown caller "cl". Did you mean "ci"?',
    ],
    'a match by nothing known': [
      'budgets: [{ name: a, limit_usd: "1", window: day, match: { modle: x } }]\n',
      '1:60 budgets[0].match.modle: is not a known key. Did you mean "model"?',
    ],
    'a match of an unknown payer, of a list too': [
      `${PAID}budgets: [{ name: a, limit_usd: "1", window: day, match: { payer: [w, x], route: [a, "b*"] } }]\n`,
      '3:60 budgets[0].match.payer: unknown payer. Known: w, (keyed).',
      '3:75 budgets[0].match.route: unknown route. Known: a.',
    ],
    'a match of no name': [
      'budgets: [{ name: a, limit_usd: "1", window: day, match: { model: [] } }]\n',
      '1:60 budgets[0].match.model: must be a name, a pattern with *, or a list of them.',
    ],
    'tags that no request can carry': [
      'tags: { open: [session] }\nbudgets: [{ name: a, limit_usd: "1", window: day, per: tag.agent, match: { tag.sesion: x } }]\n',
      '2:51 budgets[0].per: names tags that no request can carry: list agent under tags.open, or tags such as agent:name under tags.declared.',
      '2:76 budgets[0].match["tag.sesion"]: names tags that no request can carry: list sesion under tags.open, or tags such as sesion:name under tags.declared. Did you mean "tag.session"?',
    ],
    'a budget of a caller without a window': [
      'callers: [{ id: ci, key: "${env:K1}", budget_usd: "5" }]\n',
      '1:39 callers[0].budget_usd: must be USD and a window, such as "5/day", "0.50/24h" or "20/month", or a list of them.',
    ],
    'two budgets of one name': [
      'budgets:\n  - { name: a, limit_usd: "1", window: day }\n  - { name: a, limit_usd: "2", window: month }\n',
      '3:7 budgets[1].name: is the same as budgets[0].name. Budget names must be unique.',
    ],
    'a budget with a limit in USD and one in a token': [
      'budgets: [{ name: a, limit_usd: "1", limit: "1", asset: USDC, window: day }]\n',
      '1:38 budgets[0].limit: cannot be combined with limit_usd: a budget has one limit. Remove one of the two.',
    ],
    'a limit in a token without its name': [
      'budgets: [{ name: a, limit: "1", window: day }]\n',
      '1:11 budgets[0].asset: is missing. Name the token whose smallest units limit counts, such as asset: USDC.',
    ],
    'a token beside a limit in USD': [
      'budgets: [{ name: a, limit_usd: "1", asset: USDC, window: day }]\n',
      '1:38 budgets[0].asset: cannot be combined with limit_usd. Replace limit_usd by limit in the smallest units of the asset, or remove asset.',
    ],
    'a budget in a token nobody knows': [
      'budgets: [{ name: a, limit: "1", asset: DOGE, window: day }]\n',
      '1:34 budgets[0].asset: unknown asset. Known: USDC, MegaUSD, USDT0, mUSD, SBC, USDC.e, USDT, USAT, OBOL, USDG, PYUSD, CASH.',
    ],
    'a budget in a token with two sizes': [
      'assets: [{ network: base, address: "0x0b010000b7624eb9b3dfbc279673c76e9d29d5f7", symbol: USDC, decimals: 18 }]\n' +
        'budgets: [{ name: a, limit: "1", asset: USDC, window: day }]\n',
      '2:34 budgets[0].asset: is the symbol of tokens with different decimals. Give one of them another symbol under assets.',
    ],
    'a soft limit that never comes first': [
      'budgets: [{ name: a, limit_usd: "1", soft_usd: "1", window: day }]\n',
      '1:38 budgets[0].soft_usd: is not below limit_usd, so it would never be reached first. Lower it, or remove it.',
    ],
    'a soft limit of a single request': [
      'budgets: [{ name: a, limit_usd: "1", soft_usd: "0.5", window: request }]\n',
      '1:38 budgets[0].soft_usd: has no effect with window: request, where nothing adds up. Remove it.',
    ],
    'a soft limit in USD under a limit in a token': [
      'budgets: [{ name: a, limit: "1", asset: USDC, soft_usd: "0.5", window: day }]\n',
      '1:47 budgets[0].soft_usd: belongs to a limit in USD. Remove it, or use limit_usd.',
    ],
    'a budget per tag without tags': [
      'budgets: [{ name: a, limit_usd: "1", window: day, per: tag }]\n',
      '1:51 budgets[0].per: is tag, and no tag is declared: all requests would share one limit. List tags under tags.declared, or their kind under tags.open.',
    ],
    'the tag that all undeclared ones are': [
      'tags: { declared: [team, other] }\n',
      '1:26 tags.declared[1]: is what every undeclared tag counts as. Remove it.',
    ],
    'two callers of one id': [
      'callers:\n  - { id: a, key: "${env:K1}" }\n  - { id: a, key: "${env:K2}" }\n',
      '3:7 callers[1].id: is the same as callers[0].id. Caller ids must be unique.',
    ],
    'two callers of one key': [
      'callers:\n  - { id: a, key: "${env:K1}" }\n  - { id: b, key: "${env:K1}" }\n',
      '3:14 callers[1].key: is the same key as callers[0].key. Give each caller its own.',
    ],
    'a payer that is not there': [
      'payers: { w: { kind: direct, key: "${env:W}", networks: [base] } }\n' +
        'model_list: [{ model_name: a, api_base: "https://s.example.com", payer: v }]\n',
      '2:66 model_list[0].payer: unknown payer. Known: w.',
    ],
    'a payer where there are none': [
      'model_list: [{ model_name: a, api_base: "https://s.example.com", payer: v }]\n',
      '1:66 model_list[0].payer: unknown payer. None is configured.',
    ],
    'payer and api_key on one route': [
      PAID.replace('payer: w', 'payer: w, api_key: "${env:K1}"'),
      '2:79 model_list[0].api_key: cannot be combined with payer: a route is either paid or keyed. Remove one of the two.',
    ],
    'a paid route in clear text to another machine': [
      PAID.replace('https:', 'http:'),
      '2:31 model_list[0].api_base: is plain http to another machine, and a signed payment would be sent unencrypted. Use https.',
    ],
    "a seller's star that nothing fills": [
      ROUTE.replace('model_name: a', 'model_name: a, model: "*"'),
      "1:31 model_list[0].model: has a *, and model_name has none to take it from. Write the seller's model name.",
    ],
    'fallbacks of and to models that no route claims': [
      `${ROUTE}router: { fallbacks: [{ b: [c] }] }\n`,
      '2:25 router.fallbacks[0].b: unknown model. Known: a.',
      '2:29 router.fallbacks[0].b[0]: unknown model. Known: a.',
    ],
    'a fallback to itself': [
      `${ROUTE}router: { fallbacks: [{ a: [a] }] }\n`,
      '2:29 router.fallbacks[0].a[0]: falls back to itself. Remove it.',
    ],
    'a fallback to a pattern': [
      `${ROUTE}router: { fallbacks: [{ a: ["b/*"] }] }\n`,
      '2:29 router.fallbacks[0].a[0]: must be one model, without *.',
    ],
    'fallbacks of one model in two places': [
      'model_list:\n  - { model_name: a, api_base: "http://127.0.0.1:1" }\n  - { model_name: b, api_base: "http://127.0.0.1:1" }\n' +
        'router:\n  fallbacks:\n    - { a: [b] }\n    - { a: [b] }\n',
      '7:9 router.fallbacks[1].a: has its fallbacks twice. Put them into one list.',
    ],
    'pinned payees of a seller that no paid route has': [
      `${PAID}policy: { sellers: { "https://s.exmaple.com": { pay_to: ["0x209693bc6afc0c5328ba36faf03c514ef312287c"] } } }\n`,
      '3:22 policy.sellers["https://s.exmaple.com"]: unknown seller: no paid route has this origin, so the entry would protect nothing. Did you mean "https://s.example.com"?',
    ],
    'a token that is built in': [
      'assets: [{ network: base, address: "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", symbol: X, decimals: 6 }]\n',
      '1:10 assets[0]: is USDC on eip155:8453, which is built in. Remove it.',
    ],
    'one token twice, under two names of its network': [
      'assets:\n' +
        '  - { network: mainnet, address: "0x209693bc6afc0c5328ba36faf03c514ef312287c", symbol: X, decimals: 6 }\n' +
        '  - { network: "eip155:1", address: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C", symbol: X, decimals: 6 }\n',
      '3:5 assets[1]: is the same token as assets[0]. Remove one of the two.',
    ],
    'half of an EIP-712 domain': [
      'assets: [{ network: base, address: "0x209693bc6afc0c5328ba36faf03c514ef312287c", symbol: X, decimals: 6, name: X }]\n',
      '1:10 assets[0]: has one of name and version. They are the two halves of the EIP-712 domain: give both or none.',
    ],
  })
})

it('takes plain http for a paid route on this machine', () => {
  for (const host of ['127.0.0.1', 'localhost', '[::1]', '127.8.9.1']) {
    expect(() => parse(paidAt(`http://${host}:4021/v1`))).not.toThrow()
  }
})

it('does not take a name that only looks like this machine for a paid route over http', () => {
  for (const host of [
    'localhost.example.com',
    '127.0.0.1.example.com',
    '0.0.0.0',
    'x.localhost',
    '[::ffff:7f00:2]',
  ]) {
    expect(() => parse(paidAt(`http://${host}:4021/v1`))).toThrow('unencrypted')
  }
})

it('takes a fallback of a model that a pattern claims', () => {
  const input = {
    model_list: [{ model_name: 'paid/*', api_base: 'http://127.0.0.1:1/v1' }],
    router: { fallbacks: [{ 'paid/*': ['paid/b'], 'paid/a': ['paid/b', 'paid/c'] }] },
  }
  expect(parseConfig(input, {}).fallbacks).toEqual(
    new Map([
      ['paid/*', ['paid/b']],
      ['paid/a', ['paid/b', 'paid/c']],
    ]),
  )
})

it('lists every mistake of a file at once, from the top down', () => {
  const lines = mistakesOf(
    'listen: 0.0.0.0:1\nbudgets:\n  - { name: a, limit_usd: 1, window: day, per: temm }\n' +
      'callerz: []\npayers: { w: { kind: direct, key: plain, networks: [base] } }\nupstream: { api_base: "${env:NOPE}" }\n',
  )
  expect(lines.map((line) => line.split(': ')[0])).toEqual([
    '1:1 listen',
    '3:16 budgets[0].limit_usd',
    '3:43 budgets[0].per',
    '4:1 callerz',
    '5:30 payers.w.key',
    '6:13 upstream.api_base',
  ])
})

it('names the path alone where there is no file', () => {
  expect(() => parseConfig({ budgets: [{ name: 'a', limit_usd: 5, window: 'day' }] }, {})).toThrow(
    /^budgets\[0\]\.limit_usd: is a number, and numbers lose digits\./,
  )
})

it('refuses what is no configuration at all', () => {
  for (const input of [undefined, null, 'x', 5, [], new Map(), () => undefined]) {
    expect(problemsIn(() => parseConfig(input, {}))).toHaveLength(1)
  }
})

it('refuses an object that holds itself instead of following it for ever', () => {
  const input: Record<string, unknown> = {}
  input['audit'] = input
  expect(() => parseConfig(input, {})).toThrow('is nested too deeply, or holds itself.')
})

function parse(input: unknown): unknown {
  return parseConfig(input, { W: 'x' })
}

function paidAt(apiBase: string): unknown {
  return {
    payers: { w: { kind: 'direct', key: '${env:W}', networks: ['base'] } },
    model_list: [{ model_name: 'a', api_base: apiBase, payer: 'w' }],
  }
}
