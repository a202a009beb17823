/** Whether the whole body of an answer is here already. A stream tells its end in a later turn: too late to send it with the last bytes. */

const ARRIVALS = new WeakMap<object, () => boolean>()

/** Says for a body how to learn that all of it has arrived. */
export function tellArrival(body: object, hasArrivedWhole: () => boolean): void {
  ARRIVALS.set(body, hasArrivedWhole)
}

/** Whether nothing more comes for this body but what it holds; `false` where that is not known. */
export function hasArrived(body: object): boolean {
  return ARRIVALS.get(body)?.() ?? false
}
