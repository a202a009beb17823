/** Which way a request goes. */
export type Way = 'direct' | 'tollway'

/**
 * Measures both ways in turns, so that what changes on the machine meanwhile meets both. Every other round begins with
 * the other way.
 */
export async function interleave<T>(
  rounds: number,
  measure: (way: Way) => Promise<T>,
): Promise<{ readonly direct: T; readonly tollway: T }[]> {
  const results: { direct: T; tollway: T }[] = []
  for (let index = 0; index < rounds; index += 1) {
    if (index % 2 === 0) {
      const direct = await measure('direct')
      results.push({ direct, tollway: await measure('tollway') })
    } else {
      const tollway = await measure('tollway')
      results.push({ direct: await measure('direct'), tollway })
    }
  }
  return results
}

/** Does something so many times, one after the other, and tells how long each took, in milliseconds. */
export async function timed(times: number, work: () => Promise<void>): Promise<number[]> {
  const samples: number[] = []
  for (let index = 0; index < times; index += 1) {
    const startedAt = performance.now()
    await work()
    samples.push(performance.now() - startedAt)
  }
  return samples
}
