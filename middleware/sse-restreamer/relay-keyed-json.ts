/** A JSON answer of an upstream that bills a key: its usage says what it costs, so that it is read before it is passed on. */
import { JsonUsage } from '../../src/core/stream/json-usage.ts'
import type { RelaySession } from './relay-session.ts'

/**
 * Relays the answer with its cost in `usage.cost` and in the headers; every other byte is the upstream's. One over
 * `maxJsonBytes` goes on as it arrives, without either. If it breaks off, the client gets what came, and is cut off.
 */
export async function relayKeyedJson(ends: RelaySession): Promise<void> {
  const usage = new JsonUsage()
  let held: Uint8Array[] = []
  let size = 0
  const passOn = async (): Promise<void> => {
    ends.open()
    for (const chunk of held) await ends.client.write(chunk)
    held = []
  }
  try {
    for await (const chunk of ends.slices()) {
      usage.push(chunk)
      size += chunk.length
      held.push(chunk)
      // Immediately: a client that leaves early has used these tokens anyway.
      ends.noteUsage(usage.usage)
      if (size > ends.settings.maxJsonBytes) await passOn()
    }
  } catch (error) {
    ends.broke(error)
    await passOn()
    return await ends.cut()
  }
  if (ends.stopped) return
  if (!ends.opened) {
    const body = await ends.spliced(Buffer.concat(held))
    ends.open({ 'content-length': String(body.length) })
    await ends.client.write(body)
  } else await passOn()
  ends.end()
}
