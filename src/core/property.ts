/** Reads a property of something whose shape is not known; anything without properties has none. */
export function property(value: unknown, name: string): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  const read: unknown = Reflect.get(value, name)
  return read
}
