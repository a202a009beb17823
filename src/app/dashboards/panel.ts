/** One panel of a dashboard before it has a place. */

/** One query of a panel. */
export interface Query {
  readonly expr: string
  /** `{{label}}` stands for a label's value. */
  readonly legend: string
}

/** One panel before it has a place. */
export interface PanelSpec {
  readonly kind: 'timeseries' | 'stat' | 'bargauge'
  readonly title: string
  readonly description: string
  /** Grafana's name of the unit, such as `currencyUSD`, `s`, `percentunit`. */
  readonly unit: string
  readonly decimals?: number | undefined
  readonly queries: readonly Query[]
  /** Columns of 24; default 8. */
  readonly width?: number | undefined
  /** Above which the value is shown as a warning, and as a fault. */
  readonly warnAt?: number | undefined
  readonly faultAt?: number | undefined
  /** Below which the value is shown as a warning, and as a fault. */
  readonly low?: { readonly warn: number; readonly fault: number } | undefined
  /** The lowest values are those to look at. */
  readonly lowest?: boolean | undefined
  /** What numbers mean, by number: its word and colour. */
  readonly states?: Readonly<Record<number, readonly [word: string, color: string]>> | undefined
  /** Lines on top of each other. */
  readonly stacked?: boolean | undefined
}
