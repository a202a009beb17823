/// <reference lib="dom" />
/** Keeps the page up to date: with the event stream, and by polling if there is none. */
import type { ChargeView } from './data.ts'
import { find, say } from './dom.ts'

/** Callbacks for changes. */
export interface LiveListener {
  /** A charge was reserved or moved. */
  readonly charge: (charge: ChargeView) => void
  /** Changes may have been missed: everything must be reloaded. */
  readonly reload: () => void
}

/** The time range moves forward, and other processes on the same ledger send no events to this gateway. */
const RELOAD_MS = 30_000
/** Polling interval if there is no event stream. */
const POLL_MS = 10_000

/** Follows the stream until the page is closed. */
export function follow({ charge, reload }: LiveListener): void {
  const source = new EventSource('/api/events')
  let wasLost = false
  source.addEventListener('open', () => {
    show('live', 'Live')
    if (wasLost) reload()
    wasLost = false
  })
  source.addEventListener('error', () => {
    // The browser reconnects automatically, unless it was refused permanently.
    if (source.readyState !== EventSource.CLOSED) {
      show('connecting', 'Reconnecting')
      // Streams end by themselves from time to time: only a request tells whether the gateway is there.
      if (!wasLost) reload()
      wasLost = true
      return
    }
    show('polling', 'Refreshed every 10 s')
    const timer = setInterval(reload, POLL_MS)
    setTimeout(() => {
      clearInterval(timer)
      follow({ charge, reload })
    }, 60_000)
  })
  source.addEventListener('reset', reload)
  source.addEventListener('charge', (event) => {
    // The feed comes from the gateway that served this page: see event-stream.ts.
    const told: ChargeView = JSON.parse(String(event.data))
    charge(told)
  })
  source.addEventListener('refused', reload)
  source.addEventListener('failed', reload)
  source.addEventListener('approval', reload)
}

/** Reloads at intervals, and at once when the page becomes visible again. */
export function reloadNowAndThen(reload: () => void): void {
  setInterval(() => {
    if (!document.hidden) reload()
  }, RELOAD_MS)
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) reload()
  })
}

function show(state: string, words: string): void {
  find('live', HTMLElement).dataset['state'] = state
  say('live-text', words)
}
