/** Tells two installed copies of this package apart: they do not see each other's requests. */
/** On handlers and requests, read by every copy. */
const COPY: unique symbol = Symbol.for('tollway.copy')
const COPIES: unique symbol = Symbol.for('tollway.copies')

/** Stands for this copy. */
const OWN = Symbol('tollway')

/** What to do about two copies. */
export const ONE_COPY =
  'Two copies of the package tollway are installed, and neither sees what the other did with a request. Keep one: `npm ls tollway` shows them, `npm dedupe` may do.'

interface CarriesCopy {
  readonly [COPY]?: symbol
}

interface CarriesCopies {
  readonly [COPIES]?: Set<symbol>
}

/** Notes that a handler is of this copy. */
export function ofThisCopy<T extends object>(handler: T): T {
  return Object.defineProperty(handler, COPY, { configurable: true, value: OWN })
}

/** Whether a handler was made by this package, in whichever copy. */
export function isMadeHere(handler: unknown): boolean {
  return copyOf(handler) !== undefined
}

/** Whether a handler was made by another copy of this package. */
export function isOfAnotherCopy(handler: unknown): boolean {
  const copy = copyOf(handler)
  return copy !== undefined && copy !== OWN
}

function isObject(value: unknown): value is CarriesCopy {
  return (typeof value === 'function' || typeof value === 'object') && value !== null
}

function copyOf(handler: unknown): symbol | undefined {
  return isObject(handler) ? handler[COPY] : undefined
}

/** Notes that this copy works on a request. */
export function worksOn(req: object): void {
  const copies = (req as CarriesCopies)[COPIES] ?? new Set<symbol>()
  copies.add(OWN)
  Object.defineProperty(req, COPIES, { configurable: true, value: copies })
}

/** Whether another copy works on a request too. */
export function isSharedWithAnotherCopy(req: object): boolean {
  return ((req as CarriesCopies)[COPIES]?.size ?? 0) > 1
}
