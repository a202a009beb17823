/** The files of the spend page: served only from this directory, as source or as built. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'

/** A file as it is served. */
export interface PageAsset {
  readonly type: string
  /** Read on first use. */
  readonly text: () => string
}

const DIRECTORY = join(import.meta.dirname, 'client')
const SCRIPT = 'text/javascript; charset=utf-8'
const STYLE = 'text/css; charset=utf-8'

/** The page and its sign-in form. */
export const PAGES = { dashboard: page('dashboard.html'), signIn: page('sign-in.html') }

/** By path below `/dashboard/`; empty in a bundle, which does not have the page's files. */
export function pageAssets(): ReadonlyMap<string, PageAsset> {
  if (!existsSync(DIRECTORY)) return new Map()
  const own = readdirSync(DIRECTORY).flatMap((name): [string, PageAsset][] => {
    const text = once(() => readFileSync(join(DIRECTORY, name), 'utf8'))
    if (name.endsWith('.css')) return [[name, { type: STYLE, text }]]
    if (name.endsWith('.svg')) return [[name, { type: 'image/svg+xml', text }]]
    if (name.endsWith('.js')) return [[name, { type: SCRIPT, text }]]
    if (!name.endsWith('.ts') || name.endsWith('.d.ts')) return []
    // Not built: modules import each other as .ts, but the page requests its first ones as .js.
    const asset = { type: SCRIPT, text: once(() => stripTypeScriptTypes(text())) }
    return [
      [name, asset],
      [name.replace(/ts$/, 'js'), asset],
    ]
  })
  return new Map([...chartAssets(), ...own])
}

/** The chart library, if the build has not copied it next to the page. */
function chartAssets(): [string, PageAsset][] {
  const { resolve } = createRequire(import.meta.url)
  const chart = (name: string): (() => string) =>
    once(() => readFileSync(resolve(`uplot/dist/${name}`), 'utf8'))
  return [
    ['uplot.js', { type: SCRIPT, text: chart('uPlot.iife.min.js') }],
    ['uplot.css', { type: STYLE, text: chart('uPlot.min.css') }],
  ]
}

function page(name: string): PageAsset {
  const text = once(() => readFileSync(join(DIRECTORY, name), 'utf8'))
  return { type: 'text/html; charset=utf-8', text }
}

function once(read: () => string): () => string {
  let text: string | undefined
  return () => (text ??= read())
}
