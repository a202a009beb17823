/** A registry of its own per gateway, made from the table; every label value goes through the guard. */
import { Counter, Gauge, Histogram, Registry, type RegistryContentType } from 'prom-client'
import { LabelGuard, OVERFLOW } from './label-guard.ts'
import { METRIC_TABLE, type MetricName, type MetricSpec } from './metric-table.ts'
import { SeriesGuard } from './series-guard.ts'

type Labels<N extends MetricName> = Readonly<Record<(typeof METRIC_TABLE)[N]['labels'][number], string>>
type NamesOf<T extends MetricSpec['type']> = {
  [N in MetricName]: (typeof METRIC_TABLE)[N]['type'] extends T ? N : never
}[MetricName]

/** Options of {@link MetricRegistry}. */
export interface MetricRegistrySettings {
  /** Distinct values per label before `other`. Default 200. */
  readonly labelCap?: number | undefined
  /** Series per counter or gauge before everything is `other`; a histogram, with its buckets, has a tenth. Default 5000. */
  readonly seriesCap?: number | undefined
  /** The registry to add the metrics to; default one of its own. Its content type is set at every scrape. */
  readonly registry?: Registry | undefined
}

/** What a client of the metrics gets. */
export interface Exposition {
  readonly contentType: string
  readonly text: string
}

const LABEL_CAP = 200
const SERIES_CAP = 5000
/** OpenMetrics allows an exemplar's labels 128 characters in all, names included. */
const MAX_EXEMPLAR_ID = 100

/** The metrics of one gateway. Two registries never meet. */
export class MetricRegistry {
  readonly registry: Registry
  readonly #counters = new Map<string, Counter>()
  readonly #gauges = new Map<string, Gauge>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #labels: LabelGuard
  readonly #series: SeriesGuard
  #writing: Promise<unknown> = Promise.resolve()

  constructor(settings: MetricRegistrySettings = {}) {
    const { labelCap = LABEL_CAP, seriesCap = SERIES_CAP, registry = new Registry() } = settings
    this.registry = registry
    const dropped = (label: string): void => {
      this.#counters.get('tollway_series_dropped_total')?.inc({ labels: { label }, value: 1 })
    }
    this.#labels = new LabelGuard(labelCap, dropped)
    this.#series = new SeriesGuard(() => dropped('all'))
    // Metrics keep exemplars only where the registry writes OpenMetrics while they are made.
    this.#speak(Registry.OPENMETRICS_CONTENT_TYPE)
    for (const [name, spec] of Object.entries<MetricSpec>(METRIC_TABLE)) {
      const cap = spec.type === 'histogram' ? Math.ceil(seriesCap / 10) : seriesCap
      this.#series.limit(name, cap)
      this.#add(name, spec)
    }
    this.#speak(Registry.PROMETHEUS_CONTENT_TYPE)
  }

  #speak(contentType: RegistryContentType): void {
    const own: Registry<RegistryContentType> = this.registry
    own.setContentType(contentType)
  }

  #add(name: string, spec: MetricSpec): void {
    const base = { name, help: spec.help, labelNames: [...spec.labels], registers: [this.registry] }
    switch (spec.type) {
      case 'counter':
        this.#counters.set(name, new Counter({ ...base, enableExemplars: true }))
        return
      case 'gauge':
        this.#gauges.set(name, new Gauge(base))
        return
      case 'histogram':
        this.#histograms.set(
          name,
          new Histogram({ ...base, buckets: [...(spec.buckets ?? [])], enableExemplars: true }),
        )
        return
      default:
        spec.type satisfies never
    }
  }

  #pass(name: string, labels: Readonly<Record<string, string>>): Record<string, string> {
    return this.#series.pass(name, this.#labels.pass(labels))
  }

  /** Adds to a counter. @param requestId kept as its exemplar */
  count<N extends NamesOf<'counter'>>(name: N, labels: Labels<N>, value = 1, requestId?: string): void {
    this.#counters.get(name)?.inc({ labels: this.#pass(name, labels), value, ...exemplar(requestId) })
  }

  /** Sets a counter whose running total is kept elsewhere. */
  total<N extends NamesOf<'counter'>>(name: N, labels: Labels<N>, value: number): void {
    const counter = this.#counters.get(name)
    counter?.reset()
    counter?.inc({ labels: this.#pass(name, labels), value })
  }

  /** Sets a gauge. */
  set<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void {
    this.#gauges.get(name)?.set(this.#pass(name, labels), value)
  }

  /**
   * Sets a gauge unless a label has no room left: sums of several subjects under `other` would overwrite each other.
   * What is left out is counted in `tollway_series_dropped_total` like everything that is folded.
   */
  setIfKnown<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void {
    const passed = this.#pass(name, labels)
    const folded = Object.entries(labels).some(
      ([label, own]) => own !== OVERFLOW && passed[label] === OVERFLOW,
    )
    if (!folded) this.#gauges.get(name)?.set(passed, value)
  }

  /** Adds to a gauge: for sums of which several may fall under one name. */
  add<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void {
    this.#gauges.get(name)?.inc(this.#pass(name, labels), value)
  }

  /** Removes every series of a gauge, so that values its source no longer reports disappear. */
  reset(name: NamesOf<'gauge'>): void {
    this.#gauges.get(name)?.reset()
    this.#series.forget(name)
  }

  /** Adds a value to a histogram. @param requestId kept as its bucket's exemplar */
  observe<N extends NamesOf<'histogram'>>(
    name: N,
    labels: Labels<N>,
    value: number,
    requestId?: string,
  ): void {
    this.#histograms.get(name)?.observe({ labels: this.#pass(name, labels), value, ...exemplar(requestId) })
  }

  /** Writes everything. Exemplars are in OpenMetrics alone: the older format has no place for them. */
  write(format: 'text' | 'openmetrics'): Promise<Exposition> {
    // One after another: the registry's content type decides while it writes.
    const writing = this.#writing.then(() => this.#write(format))
    this.#writing = writing.catch(() => undefined)
    return writing
  }

  async #write(format: 'text' | 'openmetrics'): Promise<Exposition> {
    const contentType =
      format === 'text' ? Registry.PROMETHEUS_CONTENT_TYPE : Registry.OPENMETRICS_CONTENT_TYPE
    // Writing OpenMetrics takes `_total` off the names of counters, for good.
    const names = this.registry.getMetricsAsArray().map((metric) => [metric, metric.name] as const)
    this.#speak(contentType)
    try {
      return { contentType, text: await this.registry.metrics() }
    } finally {
      this.#speak(Registry.PROMETHEUS_CONTENT_TYPE)
      for (const [metric, name] of names) Object.assign(metric, { name })
    }
  }
}

function exemplar(requestId: string | undefined): { exemplarLabels?: Record<string, string> } {
  if (requestId === undefined || requestId.length > MAX_EXEMPLAR_ID) return {}
  return { exemplarLabels: { request_id: requestId } }
}
