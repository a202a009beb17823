/** Reads a property of a value of unknown shape; `undefined` for primitives. */
export function property(value: unknown, name: string): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  const read: unknown = Reflect.get(value, name)
  return read
}
