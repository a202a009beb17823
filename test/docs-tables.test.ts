import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { PAGES, pageUrl } from './tools/render-docs.ts'

it.each(Object.entries(PAGES))(
  'docs/%s says what the code says (node test/tools/render-docs.ts mends it)',
  async (name, render) => {
    expect(await readFile(pageUrl(name), 'utf8')).toBe(render())
  },
)
