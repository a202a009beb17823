/** What lies in `dashboards/`: made from code, so that no panel names a metric that does not exist. */
import { stringify } from 'yaml'
import { FLEET } from './fleet.ts'
import { GATEWAY } from './gateway.ts'
import { dashboardJson } from './grafana.ts'
import { PAYMENTS } from './payments.ts'
import { ALERTS, RECORDING_RULES } from './rules.ts'
import { SPEND } from './spend.ts'

/** The dashboards, in the order of their menu. */
export const DASHBOARDS = [SPEND, PAYMENTS, GATEWAY, FLEET] as const

const NOTE = '# Made by `node src/app/dashboards/write.ts`; edit the code there instead.\n'

/** Scrape interval of Prometheus. Rates and alerts assume this interval or a shorter one. */
const SCRAPE_INTERVAL = '15s'

/** File texts by their path under `dashboards/`. */
export function dashboardFiles(): ReadonlyMap<string, string> {
  return new Map([
    ...DASHBOARDS.map(
      (spec) =>
        [`grafana/${spec.uid}.json`, `${JSON.stringify(dashboardJson(spec), undefined, 2)}\n`] as const,
    ),
    ['grafana/provisioning/dashboards/tollway.yaml', yaml(DASHBOARD_PROVIDER)],
    ['grafana/provisioning/datasources/prometheus.yaml', yaml(DATASOURCE)],
    ['prometheus/prometheus.yml', yaml(PROMETHEUS)],
    ['prometheus/recording-rules.yml', yaml(recordingRules())],
    ['prometheus/alerts.yml', yaml(alerts())],
  ])
}

function yaml(value: unknown): string {
  return NOTE + stringify(value, { lineWidth: 0 })
}

const DASHBOARD_PROVIDER = {
  apiVersion: 1,
  providers: [
    {
      name: 'tollway',
      orgId: 1,
      folder: 'Tollway',
      type: 'file',
      disableDeletion: false,
      updateIntervalSeconds: 30,
      allowUiUpdates: false,
      options: { path: '/var/lib/grafana/dashboards/tollway', foldersFromFilesStructure: false },
    },
  ],
}

const DATASOURCE = {
  apiVersion: 1,
  datasources: [
    {
      name: 'Prometheus',
      uid: 'prometheus',
      type: 'prometheus',
      access: 'proxy',
      url: 'http://127.0.0.1:9090',
      jsonData: { httpMethod: 'POST', timeInterval: SCRAPE_INTERVAL },
    },
  ],
}

const PROMETHEUS = {
  global: { scrape_interval: SCRAPE_INTERVAL, evaluation_interval: SCRAPE_INTERVAL },
  rule_files: ['recording-rules.yml', 'alerts.yml'],
  scrape_configs: [
    {
      job_name: 'tollway',
      static_configs: [{ targets: ['127.0.0.1:8402'] }],
    },
  ],
}

function recordingRules() {
  return {
    groups: [
      {
        name: 'tollway-recording',
        rules: RECORDING_RULES,
      },
    ],
  }
}

function alerts() {
  return {
    groups: [
      {
        name: 'tollway',
        rules: ALERTS.map(({ alert, expr, for: wait, severity, summary, meaning, dashboard }) => ({
          alert,
          expr,
          for: wait,
          // A budget's own severity is a label of the expression.
          ...(severity === 'budget' ? {} : { labels: { severity } }),
          annotations: {
            summary,
            description: meaning,
            runbook_url: runbookUrl(alert),
            dashboard: `/d/${dashboard}`,
            __dashboardUid__: dashboard,
          },
        })),
      },
    ],
  }
}

/** Every gateway serves the runbooks, at the address that Prometheus scrapes; of one that is down, another does. */
function runbookUrl(alert: string): string {
  const living = `{{ with query "topk(1, up{job=~'tollway.*'} == 1)" }}{{ . | first | label "instance" }}{{ else }}127.0.0.1:8402{{ end }}`
  const isOfOne = alert !== 'TollwayDown' && alert !== 'TollwayWalletLow'
  return `http://${isOfOne ? '{{ $labels.instance }}' : living}/docs/alerts#${alert.toLowerCase()}`
}
