/// <reference lib="dom" />
/** Small helpers for the document. Text is always inserted as text: nothing here parses HTML. */

/** Attributes that {@link make} may set. */
export interface Attributes {
  readonly [name: string]: string | undefined
}

/** Content of an element; `undefined` is left out. */
export type Content = Node | string | undefined

/** Makes an element. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...content: readonly Content[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(name)
  for (const [key, value] of Object.entries(attributes))
    if (value !== undefined) node.setAttribute(key, value)
  node.append(...content.filter((part) => part !== undefined))
  return node
}

/** Finds an element of the page by id and type. @throws Error if the page has none */
export function find<T extends Element>(id: string, kind: new () => T): T {
  const node = document.getElementById(id)
  if (!(node instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`)
  return node
}

/** Sets an element's text; does not touch the document if the text is unchanged. */
export function say(id: string, text: string): void {
  const node = find(id, HTMLElement)
  if (node.textContent !== text) node.textContent = text
}
