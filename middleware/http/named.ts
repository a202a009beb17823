/** Gives a handler the name of its factory: it keeps stack traces readable, and `assertOrder()` relies on it. */
export function named<T extends (...args: never[]) => unknown>(name: string, handler: T): T {
  return Object.defineProperty(handler, 'name', { value: name })
}
