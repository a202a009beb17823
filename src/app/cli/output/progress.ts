import { Presets, SingleBar } from 'cli-progress'
import type { Terminal } from '../shared/terminal.ts'

/** A bar for work of a known length; draws only on a terminal. */
export interface ProgressBar {
  /** Shows how much is done; called repeatedly. */
  readonly at: (done: number, wanted: number) => void
  /** Removes the bar. */
  readonly end: () => void
}

/** @param what e.g. `signing` */
export function progressBar({ progress }: Terminal, what: string): ProgressBar {
  if (!progress) return { at: () => undefined, end: () => undefined }
  const bar = new SingleBar(
    {
      format: `${what} [{bar}] {value}/{total}, {eta_formatted} left`,
      stream: progress,
      clearOnComplete: true,
      hideCursor: true,
      // Drawing must not slow down the work.
      fps: 5,
    },
    Presets.shades_classic,
  )
  let started = false
  return {
    at(done, wanted) {
      if (!started) bar.start(wanted, done)
      else if (bar.getTotal() !== wanted) bar.setTotal(wanted)
      started = true
      bar.update(done)
    },
    end() {
      if (started) bar.stop()
      started = false
    },
  }
}
