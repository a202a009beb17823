/** What a rule file of Prometheus is made of. */

/** A series Prometheus computes for itself. */
export interface RecordingRule {
  readonly record: string
  readonly expr: string
}

/** One alert. */
export interface AlertRule {
  readonly alert: string
  readonly expr: string
  /** How long it must hold, e.g. `10m`. */
  readonly for: string
  /**
   * critical: money or the gateway is at risk now; warning: it will be; info: check when you have time; budget: what the
   * configuration of the budget says (`alert`), as the label of the expression.
   */
  readonly severity: 'critical' | 'warning' | 'info' | 'budget'
  /** The dashboard to look at. */
  readonly dashboard: 'tollway-spend' | 'tollway-payments' | 'tollway-gateway'
  /** One line with labels, as the message of the alert. */
  readonly summary: string
  /** What it means, and what to do: the runbook. */
  readonly meaning: string
  readonly steps: readonly string[]
}
