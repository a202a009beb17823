/** Projects of users, to which the packed tarball is installed: what they contain, and what they run. */

/** A project that uses the package, with the types that its TypeScript needs. */
export const PROJECT = {
  private: true,
  type: 'module',
  devDependencies: { '@types/node': '24.19.2', '@types/express': '5.0.6' },
}

/** How TypeScript resolves packages, in programs that Node runs and in those that a bundler reads. */
export const RESOLUTIONS = {
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
} as const

/** A strict project that checks its libraries too. `esnext` is the newest library that TypeScript 5.4 has. */
export const tsconfig = (resolution: (typeof RESOLUTIONS)[keyof typeof RESOLUTIONS]): object => ({
  compilerOptions: {
    ...resolution,
    target: 'es2022',
    lib: ['esnext'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
  },
  files: ['app.ts'],
})

/** Holds a payer and a store of a stranger, each in a file of its own, to the suites of the package. */
export const SUITES_PROGRAM = `
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { describeProvider, describeStore } from 'tollway/testing/suites'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { custodyPayer } from './payer.js'
import { journalStore } from './store.js'

const account = privateKeyToAccount(generatePrivateKey())
const address = account.address.toLowerCase()
const sign = (typed) => account.signTypedData(typed)
describeProvider('custody', async () => custodyPayer({ address, networks: ['eip155:84532'], sign }))

const directory = mkdtempSync(join(tmpdir(), 'journals-'))
afterAll(() => rmSync(directory, { recursive: true }))
let opened = 0
describeStore('journal', () => journalStore(join(directory, String((opened += 1)))))
`

export const TYPED_APP = `
import express from 'express'
import { createServer } from 'node:http'
import { createGateway, openParts, parseConfig, TollwayError, type Gateway, type Observer } from 'tollway'
import { assertOrder, budgetGuard, caller, errorHandler, type Handler, modelRouter, readBody } from 'tollway/middleware'
import { direct, type DirectOptions } from 'tollway/providers'
import { fakeTime, startScriptedSeller, toyPayer } from 'tollway/testing'

const observer: Observer = (event) => {
  if (event.type === 'charge') console.log(event.charge.amount satisfies bigint)
}
const config = parseConfig({ listen: '127.0.0.1:0' }, process.env)
const gateway: Gateway = await createGateway(config, { observers: [observer] })
const { url }: { readonly url: string } = await gateway.listen()
const parts = await openParts(config)
const options: DirectOptions = { key: { source: 'env', name: 'WALLET' }, networks: ['base'] }
const handler: Handler = modelRouter(parts.modelRouter)
const app = express()
app.use(caller(), readBody({ limit: 1_000 }), handler, budgetGuard(parts.budgetGuard), errorHandler())
assertOrder(app)
createServer((req, res) => readBody()(req, res, (error) => void (error instanceof TollwayError && error.status)))
// @ts-expect-error the limit is a number of bytes
readBody({ limit: {} })
// @ts-expect-error a payer needs to know where its key is
await direct({ networks: ['base'] })
export { fakeTime, options, startScriptedSeller, toyPayer, url }
`

export const WALLET_PROGRAM = `
import { direct } from 'tollway/providers'
const payer = await direct({ key: { source: 'env', name: 'WALLET' }, networks: ['base'] })
console.log(payer.name, 'pays on', payer.networks.join())
await payer.close()
`

/** What both module systems run after their imports: the middleware and the gateway, in front of an upstream. */
const EXPRESS_PROGRAM = `
async function main() {
  const files = mkdtempSync(join(tmpdir(), 'tollway-consumer-'))
  const listen = (handler) => new Promise((done) => { const server = createServer(handler).listen(0, '127.0.0.1', () => done(server)) })
  const upstream = await listen((req, res) => res.setHeader('content-type', 'application/json').end('{"answered":true}'))
  const config = (name) => parseConfig({
    listen: '127.0.0.1:0',
    upstream: { api_base: 'http://127.0.0.1:' + upstream.address().port + '/v1' },
    store: 'sqlite:' + join(files, name + '.db'),
    audit: { path: join(files, name + '.jsonl') },
    log: { level: 'silent' },
  })
  const ask = async (base) => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"model":"m","messages":[]}' }
    const answer = await fetch(base + '/v1/chat/completions', init)
    return [answer.status, answer.headers.get('x-tollway-spent'), await answer.text()]
  }
  const app = express()
  const mounted = tollway(config('mounted'))
  app.use('/ai', mounted, errorHandler())
  app.get('/own', (req, res) => res.send('own'))
  const server = await listen(app)
  const base = 'http://127.0.0.1:' + server.address().port
  const gateway = await createGateway(config('gateway'))
  const { url } = await gateway.listen()
  console.log(JSON.stringify({
    express: version,
    mounted: await ask(base + '/ai'),
    own: await (await fetch(base + '/own')).text(),
    gateway: await ask(url),
  }))
  await gateway.close()
  await mounted.close()
  for (const one of [server, upstream]) { one.close(); one.closeAllConnections() }
  rmSync(files, { recursive: true })
}
main()
`

const NEEDED = {
  express: 'express',
  'express/package.json': '{ version }',
  'node:fs': '{ mkdtempSync, rmSync }',
  'node:http': '{ createServer }',
  'node:os': '{ tmpdir }',
  'node:path': '{ join }',
  tollway: '{ createGateway, parseConfig, tollway }',
  'tollway/middleware': '{ errorHandler }',
}

/** An app as an ECMAScript module. */
export const IMPORTING_PROGRAM = `${Object.entries(NEEDED)
  .map(([from, names]) =>
    from.endsWith('.json')
      ? `import json from '${from}' with { type: 'json' }\nconst ${names} = json`
      : `import ${names} from '${from}'`,
  )
  .join('\n')}\n${EXPRESS_PROGRAM}`

/** The same app in CommonJS. */
export const REQUIRING_PROGRAM = `${Object.entries(NEEDED)
  .map(([from, names]) => `const ${names} = require('${from}')`)
  .join('\n')}\n${EXPRESS_PROGRAM}`

/** Prints which packages and how many files of its own an import loads; the import is the first argument. */
export const LOADED_PROGRAM = `
import { registerHooks } from 'node:module'
const packages = new Set()
let own = 0
registerHooks({
  load(url, context, next) {
    const [, name] = /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(url) ?? []
    if (name === 'tollway') own++
    else if (name !== undefined) packages.add(name)
    return next(url, context)
  },
})
const entry = await import(process.argv[2])
if (process.argv[3] !== undefined) await eval(process.argv[3])(entry)
console.log(JSON.stringify({ packages: [...packages].sort(), own }))
`
