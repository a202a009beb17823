import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { stringify } from 'yaml'

/** One series of an answer. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>
  /** The values, oldest first: one of an instant query. */
  readonly values: readonly number[]
}

/** A real Prometheus, which ends with the test. */
export interface Prometheus {
  readonly url: string
  /** Asks for now. @throws Error with Prometheus' words for an expression it refuses */
  query(expr: string): Promise<Series[]>
  /** Asks for the last seconds, in steps of one. @throws as {@link Prometheus.query} */
  queryRange(expr: string, seconds: number): Promise<Series[]>
  /** Any path of its API, the `data` of the answer. */
  api(path: string): Promise<unknown>
  close(): Promise<void>
}

/** What it scrapes and computes. */
export interface PrometheusOptions {
  /** `host:port` each, under the job `tollway`. */
  readonly targets: readonly string[]
  /** Bearer token of the targets. */
  readonly token?: string | undefined
  /** Rule files by name. */
  readonly rules?: Readonly<Record<string, string>> | undefined
}

const PDEATHSIG = '/usr/bin/setpriv'
const INTERVAL = '500ms'

/** Starts Debian's Prometheus on a free port of its own choice; `npm run setup:test` installs it. */
export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const { targets, token, rules = {} } = options
  const directory = await mkdtemp(join(tmpdir(), 'tollway-prometheus-'))
  for (const [name, text] of Object.entries(rules)) await writeFile(join(directory, name), text)
  const config = {
    global: { scrape_interval: INTERVAL, scrape_timeout: INTERVAL, evaluation_interval: INTERVAL },
    rule_files: Object.keys(rules),
    scrape_configs: [
      {
        job_name: 'tollway',
        static_configs: [{ targets }],
        ...(token === undefined ? {} : { authorization: { credentials: token } }),
      },
    ],
  }
  await writeFile(join(directory, 'prometheus.yml'), stringify(config))
  const args = [
    `--config.file=${join(directory, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    '--web.listen-address=127.0.0.1:0',
    '--enable-feature=exemplar-storage',
  ]
  const command = existsSync(PDEATHSIG)
    ? [PDEATHSIG, '--pdeathsig', 'SIGKILL', 'prometheus', ...args]
    : ['prometheus', ...args]
  const [file = 'prometheus', ...rest] = command
  const child = spawn(file, rest, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'close').catch(() => undefined)
  const said: string[] = []
  const port = await new Promise<string>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`Prometheus ${why}:\n${said.slice(-20).join('\n')}`))
    child.once('error', (error) => fail(error.message))
    child.once('close', () => fail('ended before it listened'))
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line)
      const found = /msg="Listening on" address=127\.0\.0\.1:(\d+)/.exec(line)
      if (found?.[1] !== undefined) resolve(found[1])
    })
  })
  const url = `http://127.0.0.1:${port}`
  const api = async (path: string): Promise<unknown> => {
    const answer = await fetch(`${url}/api/v1/${path}`)
    const { status, data, error } = (await answer.json()) as { status: string; data: unknown; error?: string }
    if (status !== 'success') throw new Error(error ?? status)
    return data
  }
  return {
    url,
    api,
    async query(expr) {
      return seriesOf(await api(`query?${new URLSearchParams({ query: expr })}`))
    },
    async queryRange(expr, seconds) {
      const end = Date.now() / 1000
      const range = { query: expr, start: String(end - seconds), end: String(end), step: '1' }
      return seriesOf(await api(`query_range?${new URLSearchParams(range)}`))
    },
    async close() {
      child.kill('SIGTERM')
      await exited
      await rm(directory, { recursive: true, force: true })
    },
  }
}

type Sample = readonly [number, string]

function seriesOf(data: unknown): Series[] {
  const { result } = data as {
    result: readonly { metric: Record<string, string>; value?: Sample; values?: readonly Sample[] }[]
  }
  return result.map(({ metric, value, values = value ? [value] : [] }) => ({
    metric,
    values: values.map(([, text]) => Number(text)),
  }))
}
