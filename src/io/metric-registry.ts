/** A registry of its own per gateway, made from the table; every label value goes through the guard. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { LabelGuard, OVERFLOW } from './label-guard.ts'
import { METRIC_TABLE, type MetricName, type MetricSpec } from './metric-table.ts'

type Labels<N extends MetricName> = Readonly<Record<(typeof METRIC_TABLE)[N]['labels'][number], string>>
type NamesOf<T extends MetricSpec['type']> = {
  [N in MetricName]: (typeof METRIC_TABLE)[N]['type'] extends T ? N : never
}[MetricName]

const DEFAULT_CAP = 200

/** The metrics of one gateway. Two registries never meet. */
export class MetricRegistry {
  readonly registry = new Registry()
  readonly #counters = new Map<string, Counter>()
  readonly #gauges = new Map<string, Gauge>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #guard: LabelGuard

  /** @param cap distinct values per label before `other` */
  constructor(cap = DEFAULT_CAP) {
    for (const [name, spec] of Object.entries<MetricSpec>(METRIC_TABLE)) this.#add(name, spec)
    this.#guard = new LabelGuard(cap, (label) => {
      this.#counters.get('tollway_series_dropped_total')?.inc({ label })
    })
  }

  #add(name: string, spec: MetricSpec): void {
    const base = { name, help: spec.help, labelNames: [...spec.labels], registers: [this.registry] }
    switch (spec.type) {
      case 'counter':
        this.#counters.set(name, new Counter(base))
        return
      case 'gauge':
        this.#gauges.set(name, new Gauge(base))
        return
      case 'histogram':
        this.#histograms.set(name, new Histogram({ ...base, buckets: [...(spec.buckets ?? [])] }))
        return
      default:
        spec.type satisfies never
    }
  }

  /** Adds to a counter. */
  count<N extends NamesOf<'counter'>>(name: N, labels: Labels<N>, by = 1): void {
    this.#counters.get(name)?.inc(this.#guard.pass(labels), by)
  }

  /** Sets a gauge. */
  set<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void {
    this.#gauges.get(name)?.set(this.#guard.pass(labels), value)
  }

  /**
   * Sets a gauge unless a label has no room left: sums of several subjects under `other` would overwrite each other.
   * What is left out is counted in `tollway_series_dropped_total` like everything that is folded.
   */
  setIfKnown<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void {
    const passed = this.#guard.pass(labels)
    const folded = Object.entries(labels).some(
      ([label, own]) => own !== OVERFLOW && passed[label] === OVERFLOW,
    )
    if (!folded) this.#gauges.get(name)?.set(passed, value)
  }

  /** Forgets every series of a gauge: what its source no longer tells must not stay on show. */
  reset(name: NamesOf<'gauge'>): void {
    this.#gauges.get(name)?.reset()
  }

  /** Adds a value to a histogram. */
  observe<N extends NamesOf<'histogram'>>(name: N, labels: Labels<N>, value: number): void {
    this.#histograms.get(name)?.observe(this.#guard.pass(labels), value)
  }
}
