/** Gives a handler the name of its factory: stacks stay readable, and `assertOrder()` goes by it. */
export function named<T extends (...args: never[]) => unknown>(name: string, handler: T): T {
  return Object.defineProperty(handler, 'name', { value: name })
}
