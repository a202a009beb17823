/**
 * Preloaded (`node --import`) into examples that tests run: they find Tollway's sources where they ask for the
 * installed package, and say where they listen.
 */
import { subscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { Server } from 'node:http'
import { registerHooks } from 'node:module'
import { z } from 'zod'

const root = new URL('../../', import.meta.url)
const Manifest = z.object({
  exports: z.record(z.string(), z.union([z.string(), z.object({ module: z.string() })])),
})
const manifest = Manifest.parse(JSON.parse(readFileSync(new URL('package.json', root), 'utf8')))
const Listening = z.object({ server: z.instanceof(Server) })

registerHooks({
  resolve(specifier, context, next) {
    const [name, ...rest] = specifier.split('/')
    if (name !== 'tollway' || context.parentURL?.startsWith(root.href)) return next(specifier, context)
    const entry = manifest.exports[['.', ...rest].join('/')]
    if (typeof entry !== 'object') throw new Error(`package.json exports no ${specifier}`)
    const source = entry.module.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts')
    return { url: new URL(source, root).href, shortCircuit: true }
  },
})

// Examples listen on port 0 and print nothing: this is how a test learns where, and when, without asking again and again.
subscribe('tracing:net.server.listen:asyncEnd', (message) => {
  // Addresses are tried before the start by servers of another kind.
  const { data } = Listening.safeParse(message)
  if (!data) return
  const { server } = data
  const address = server.address()
  if (typeof address === 'object' && address !== null) console.log(`listening on port ${address.port}`)
})
