/**
 * OpenTelemetry traces, enabled by OTEL_EXPORTER_OTLP_ENDPOINT: a server span for each request with the GenAI
 * attributes (semantic conventions, status: development), and a child for each phase of a payment. The packages
 * are optional and loaded only then; without the variable no tracing code runs.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Span, SpanContext, Tracer } from '@opentelemetry/api'
import type { Log } from '../../core/log.ts'
import type { RequestSummary } from '../../core/telemetry/events.ts'
import { operationOf } from '../../core/telemetry/gen-ai.ts'
import { formatUsd } from '../../core/money/money.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import type { Environment } from '../config/values/secrets.ts'

/** One request's span. */
export interface RequestSpan {
  /** Trace context for services called on behalf of this request (W3C Trace Context). */
  readonly traceparent: string
  /** Adds a phase that ended now and took this long. */
  phase(name: string, seconds: number): void
  /** Ends the span. */
  end(summary: RequestSummary): void
}

/** Creates spans and exports them. */
export interface Tracing {
  /** @param startedAt milliseconds since the epoch */
  begin(headers: IncomingHttpHeaders, startedAt: number): RequestSpan
  /** Exports pending spans, for two seconds at most. Never rejects. */
  close(): Promise<void>
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/

/** How long an unreachable collector may delay the gateway's exit, milliseconds. */
const CLOSE_MS = 2000

const ALL = 'OTEL_EXPORTER_OTLP_ENDPOINT'
const OWN = 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'

/**
 * Where traces are sent; `undefined` if tracing was not requested, or, with a log message, if the address cannot
 * be used.
 */
export function tracesUrl(env: Environment, log: Log): string | undefined {
  if (env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return undefined
  const variable = [OWN, ALL].find((name) => env[name] !== undefined && env[name] !== '')
  if (variable === undefined) return undefined
  const text = env[variable] ?? ''
  if (/^https?:\/\/./i.test(text) && URL.canParse(text)) {
    return variable === OWN ? text : `${text.replace(/\/+$/, '')}/v1/traces`
  }
  log.error(
    { variable },
    `${variable} is not the address of an OTLP/HTTP collector, so no traces are sent. Write it with http:// or https://, e.g. http://127.0.0.1:4318; gRPC (port 4317) is not spoken.`,
  )
  return undefined
}

/**
 * Opens tracing if the environment requests it and the packages are installed; logs a message if they are not.
 * @param load loads the packages; for tests without them
 * @param timers limit the time of the final export
 */
export async function openTracing(
  env: Environment,
  log: Log,
  version: string,
  load: () => Promise<Packages> = loadPackages,
  timers: Timers = systemTimers,
): Promise<Tracing | undefined> {
  const url = tracesUrl(env, log)
  if (url === undefined) return undefined
  let packages: Packages
  try {
    packages = await load()
  } catch (err) {
    log.error(
      { err },
      'OTEL_EXPORTER_OTLP_ENDPOINT is set, and the OpenTelemetry packages are not installed: no traces are sent. Run: npm install @opentelemetry/api @opentelemetry/sdk-trace @opentelemetry/resources @opentelemetry/exporter-trace-otlp-http',
    )
    return undefined
  }
  const { api, sdk, resources, exporters } = packages
  const name = env['OTEL_SERVICE_NAME'] ?? 'tollway'
  const provider = new sdk.TracerProvider({
    resource: resources
      .defaultResource()
      .merge(resources.resourceFromAttributes({ 'service.name': name, 'service.version': version })),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter: new exporters.OTLPTraceExporter({ url }) })],
  })
  const tracer = provider.getTracer('tollway', version)
  return {
    begin: (headers, startedAt) => beginSpan(api, tracer, headers, startedAt),
    async close() {
      let cancel = (): void => undefined
      const late = new Promise<void>((resolve) => {
        cancel = timers.after(CLOSE_MS, () => {
          log.warn({ waited_ms: CLOSE_MS }, 'traces were lost: the collector did not accept them')
          resolve()
        })
      })
      const sent = provider.shutdown().catch((err: unknown) => log.warn({ err }, 'traces were lost'))
      await Promise.race([sent, late])
      cancel()
    },
  }
}

type Packages = Awaited<ReturnType<typeof loadPackages>>

async function loadPackages() {
  const [api, sdk, resources, exporters] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ])
  return { api, sdk, resources, exporters }
}

type Api = typeof import('@opentelemetry/api')

function beginSpan(api: Api, tracer: Tracer, headers: IncomingHttpHeaders, startedAt: number): RequestSpan {
  const parent = remoteParent(headers['traceparent'])
  const root = parent ? api.trace.setSpanContext(api.ROOT_CONTEXT, parent) : api.ROOT_CONTEXT
  const span = tracer.startSpan('request', { kind: api.SpanKind.SERVER, startTime: startedAt }, root)
  const within = api.trace.setSpan(root, span)
  const { traceId, spanId, traceFlags } = span.spanContext()
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    phase(name, seconds) {
      const now = Date.now()
      const child = tracer.startSpan(`payment ${name}`, { startTime: now - seconds * 1000 }, within)
      child.setAttribute('tollway.payment.phase', name)
      child.end(now)
    },
    end(summary) {
      describe(span, summary)
      if (summary.status >= 500) span.setStatus({ code: api.SpanStatusCode.ERROR })
      span.end()
    },
  }
}

/** The client's span from its W3C Trace Context header; any other value starts a new trace. */
function remoteParent(header: string | readonly string[] | undefined): SpanContext | undefined {
  const match = typeof header === 'string' ? TRACEPARENT.exec(header) : null
  const [, traceId, spanId, flags] = match ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true }
}

function describe(span: Span, summary: RequestSummary): void {
  const { endpoint, route, payer, model, usage, code, charge, costMicroUsd, method, status } = summary
  const operation = operationOf(endpoint)
  span.updateName(route === 'none' ? `${method} ${endpoint}` : `${operation} ${route}`)
  span.setAttributes({
    'http.request.method': method,
    'http.response.status_code': status,
    'http.route': endpoint,
    'tollway.request_id': summary.requestId,
    'tollway.caller': summary.caller,
    'tollway.route': route,
    'tollway.payer': payer,
    'tollway.outcome': summary.outcome,
    'tollway.spent': summary.spent,
  })
  if (route !== 'none') {
    span.setAttributes({
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': summary.provider ?? payer,
    })
    const asked = summary.remoteModel ?? model
    if (asked !== undefined) span.setAttribute('gen_ai.request.model', asked)
  }
  if (usage) {
    span.setAttribute('gen_ai.usage.input_tokens', usage.inputTokens)
    span.setAttribute('gen_ai.usage.output_tokens', usage.outputTokens)
  }
  if (charge !== undefined) span.setAttribute('tollway.charge', charge)
  if (costMicroUsd !== undefined) span.setAttribute('tollway.cost_usd', formatUsd(costMicroUsd))
  if (code !== undefined || status >= 400) span.setAttribute('error.type', code ?? String(status))
}
