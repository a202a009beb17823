/** One registry per gateway, built from the metric table; every label value goes through the guard. */
import { Counter, Gauge, Histogram, Registry, type RegistryContentType } from 'prom-client'
import { ConfigError } from '../../core/errors.ts'
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
  /** Series per counter or gauge before everything is `other`; a tenth of it per histogram, because of its buckets. Default 5000. */
  readonly seriesCap?: number | undefined
  /** The registry to add the metrics to; by default a new one. Its content type is set at every scrape. */
  readonly registry?: Registry | undefined
  /**
   * Put before the name of every metric, e.g. `a_`, so that two gateways can share a registry; default nothing.
   * Dashboards and alerts expect the names without it.
   */
  readonly prefix?: string | undefined
}

/** The response to a scrape. */
export interface Exposition {
  readonly contentType: string
  readonly text: string
}

/** Distinct values per label unless set otherwise. */
export const LABEL_CAP = 200
const SERIES_CAP = 5000
/** OpenMetrics limits the labels of an exemplar to 128 characters in total, including names. */
const MAX_EXEMPLAR_ID = 100

/** The metrics of one gateway. Gateways in one process share nothing. */
export class MetricRegistry {
  readonly registry: Registry
  readonly #counters = new Map<string, Counter>()
  readonly #gauges = new Map<string, Gauge>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #labels: LabelGuard
  readonly #series: SeriesGuard
  readonly #passed = new Map<MetricName, Map<string, Record<string, string>>>()
  readonly #prefix: string
  #writing: Promise<unknown> = Promise.resolve()

  constructor(settings: MetricRegistrySettings = {}) {
    const { labelCap = LABEL_CAP, seriesCap = SERIES_CAP, registry = new Registry(), prefix = '' } = settings
    this.registry = registry
    this.#prefix = prefix
    refuseTaken(registry, prefix)
    const dropped = (label: string): void => {
      this.#counters.get('tollway_series_dropped_total')?.inc({ labels: { label }, value: 1 })
    }
    this.#labels = new LabelGuard(labelCap, dropped)
    this.#series = new SeriesGuard(() => dropped('all'))
    // A metric supports exemplars only if the registry's content type is OpenMetrics when it is created.
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
    const base = {
      name: `${this.#prefix}${name}`,
      help: spec.help,
      labelNames: [...spec.labels],
      registers: [this.registry],
    }
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

  /** The labels of a series as the guards pass them; those that they pass unchanged are kept, because they come again and again. */
  #pass(name: MetricName, labels: Readonly<Record<string, string>>): Record<string, string> {
    const order: readonly string[] = METRIC_TABLE[name].labels
    const key = order.map((label) => labels[label]).join('\n')
    const series = this.#passed.get(name)
    const known = series?.get(key)
    if (known) return known
    const passed = this.#series.pass(name, this.#labels.pass(labels))
    // A value that was cleaned or folded is looked at each time: the series guard bounds only what is left of it.
    if (order.every((label) => passed[label] === labels[label])) {
      if (series) series.set(key, passed)
      else this.#passed.set(name, new Map([[key, passed]]))
    }
    return passed
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
   * Sets a gauge unless a label is full: the values of several subjects under `other` would overwrite each other. Omitted values
   * are counted in `tollway_series_dropped_total` like all folded ones.
   */
  setIfKnown<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void {
    const passed = this.#pass(name, labels)
    const folded = Object.entries(labels).some(
      ([label, own]) => own !== OVERFLOW && passed[label] === OVERFLOW,
    )
    if (!folded) this.#gauges.get(name)?.set(passed, value)
  }

  /** Makes this the only series of a gauge. Its labels come from the operator, one set at a time: they need no bound. */
  setOnly<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void {
    this.#gauges.get(name)?.reset()
    this.#gauges.get(name)?.set({ ...labels }, value)
  }

  /** Adds to a gauge: for sums that may share labels. */
  add<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void {
    this.#gauges.get(name)?.inc(this.#pass(name, labels), value)
  }

  /** Removes every series of a gauge, so that values its source no longer reports disappear. */
  reset(name: NamesOf<'gauge'>): void {
    this.#gauges.get(name)?.reset()
    this.#series.forget(name)
    this.#passed.delete(name)
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

  /** Removes the metrics from the registry, so that others of these names can be added. */
  remove(): void {
    for (const name of Object.keys(METRIC_TABLE)) this.registry.removeSingleMetric(`${this.#prefix}${name}`)
  }

  /** Writes all metrics. Only OpenMetrics carries exemplars; the older format cannot. */
  write(format: 'text' | 'openmetrics'): Promise<Exposition> {
    // One at a time, because the format is a property of the registry.
    const writing = this.#writing.then(() => this.#write(format))
    this.#writing = writing.catch(() => undefined)
    return writing
  }

  async #write(format: 'text' | 'openmetrics'): Promise<Exposition> {
    const contentType =
      format === 'text' ? Registry.PROMETHEUS_CONTENT_TYPE : Registry.OPENMETRICS_CONTENT_TYPE
    // Writing OpenMetrics permanently removes `_total` from the names of counters, so they are restored below.
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

/** prom-client would add some of the metrics before it finds one that is there. @throws ConfigError */
function refuseTaken(registry: Registry, prefix: string): void {
  if (!/^(?:[a-zA-Z_][a-zA-Z0-9_]*)?$/.test(prefix)) {
    throw new ConfigError(
      `metricsPrefix: "${prefix}" cannot begin the name of a metric. Use letters, digits and _, e.g. "a_".`,
    )
  }
  const taken = Object.keys(METRIC_TABLE).find((name) => registry.getSingleMetric(`${prefix}${name}`))
  if (taken === undefined) return
  throw new ConfigError(
    `The registry has ${prefix}${taken} already, from another gateway or metrics() in this process. ` +
      'Give each a registry of its own, or metricsPrefix (prefix of createMetrics) to all but one.',
  )
}

function exemplar(requestId: string | undefined): { exemplarLabels?: Record<string, string> } {
  if (requestId === undefined || requestId.length > MAX_EXEMPLAR_ID) return {}
  return { exemplarLabels: { request_id: requestId } }
}
