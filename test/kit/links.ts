/** Follows the links between Markdown pages: to files, and to headings in them. */
import { dirname, join, normalize } from 'node:path'

/** A link that leads nowhere. */
export interface DeadLink {
  readonly page: string
  readonly target: string
}

const FENCED = /^(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1\s*$/gm
const LINK = /\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)|^\[[^\]]+\]:\s*(\S+)/gm

/**
 * The links of these pages that lead to no file or no heading. Web addresses are not followed.
 * @param pages Markdown by path, relative to the root
 * @param exists whether there is a file or folder at a path, relative to the root
 */
export function deadLinks(pages: ReadonlyMap<string, string>, exists: (path: string) => boolean): DeadLink[] {
  const anchors = new Map([...pages].map(([page, text]) => [page, anchorsOf(text)]))
  return [...pages].flatMap(([page, text]) =>
    linksOf(text)
      .filter((target) => !/^(?:https?|mailto):/.test(target))
      .filter((target) => {
        const [path = '', anchor] = target.split('#')
        const file = path === '' ? page : normalize(join(dirname(page), decodeURIComponent(path)))
        return !exists(file) || (anchor !== undefined && !anchors.get(file)?.has(anchor))
      })
      .map((target) => ({ page, target })),
  )
}

/** The targets of a page's links; code is left out. */
export function linksOf(markdown: string): string[] {
  const prose = markdown
    .replaceAll(FENCED, '')
    // Span by span: the code of a link's text stays, and what is between two spans is none.
    .replaceAll(/`[^`\n]*`/g, (span: string, at: number, all: string) =>
      all.startsWith('](', at + span.length) ? span : '',
    )
  return [...prose.matchAll(LINK)].map(([, inline, reference]) => inline ?? reference ?? '')
}

/** The anchors of a page: those that GitHub makes of its headings, and its own (`<a id>`). */
export function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set([...markdown.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id))
  for (const [, heading = ''] of markdown.replaceAll(FENCED, '').matchAll(/^#{1,6} (.+?)\s*#*$/gm)) {
    const slug = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-')
    let anchor = slug
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`
    anchors.add(anchor)
  }
  return anchors
}
