/** Whether OpenClaw and LiteLLM on this machine point at the gateway. Their files are read, never changed. */
import { existsSync, readFileSync } from 'node:fs'
import { parse as parseJsonc } from 'jsonc-parser'
import { z } from 'zod'
import { ConfigError } from '../../core/errors.ts'
import { openclawFile } from '../init/openclaw.ts'
import { readYaml } from '../config/reading/document.ts'
import { isLoopbackHost, type ListenAddress } from '../config/values/addresses.ts'
import type { Environment } from '../config/values/secrets.ts'
import { findingsOf, type Finding } from './finding.ts'

const OPENCLAW = z.looseObject({
  models: z
    .looseObject({ providers: z.record(z.string(), z.looseObject({ baseUrl: z.string().optional() })) })
    .optional(),
})

/** OpenClaw's own configuration, if there is one. */
export function examineOpenclaw(listen: ListenAddress, env: Environment): Finding[] {
  const { ok, note, warning } = findingsOf('openclaw')
  const file = openclawFile(env)
  if (!existsSync(file)) return [note('OpenClaw is not set up for this user.')]
  const parsed = OPENCLAW.safeParse(parseJsonc(readFileSync(file, 'utf8'), [], { allowTrailingComma: true }))
  if (!parsed.success)
    return [warning(`${file} cannot be read as OpenClaw's configuration.`, 'Run openclaw doctor.')]
  const providers = Object.entries(parsed.data.models?.providers ?? {})
  const ours = providers.filter(([, { baseUrl }]) => baseUrl !== undefined && pointsAt(baseUrl, listen))
  if (ours.length === 0)
    return [warning(`OpenClaw has no provider that points at the gateway.`, 'Run tollway init openclaw.')]
  return [ok(`OpenClaw uses the gateway as ${ours.map(([name]) => name).join(', ')}.`)]
}

const LITELLM = z.looseObject({
  model_list: z
    .array(
      z.looseObject({
        model_name: z.string(),
        litellm_params: z.looseObject({ api_base: z.string().optional() }).optional(),
      }),
    )
    .default([]),
})

/** A LiteLLM configuration that the user named. */
export function examineLitellm(listen: ListenAddress, file: string): Finding[] {
  const { ok, warning, problem } = findingsOf('litellm')
  let value: unknown
  try {
    value = readYaml(readFileSync(file, 'utf8'), file).value
  } catch (error) {
    const reason = error instanceof ConfigError ? error.message : `${file} cannot be read.`
    return [problem(reason, 'Give --litellm the path of the proxy configuration.')]
  }
  const parsed = LITELLM.safeParse(value)
  if (!parsed.success)
    return [
      problem(`${file} has no usable model_list.`, 'Give --litellm the path of the proxy configuration.'),
    ]
  const bases = parsed.data.model_list.flatMap(({ model_name: name, litellm_params: params }) =>
    params?.api_base !== undefined && pointsAt(params.api_base, listen)
      ? [{ name, base: params.api_base }]
      : [],
  )
  if (bases.length === 0)
    return [
      warning(`No model of ${file} points at the gateway.`, 'Run tollway init litellm for entries to add.'),
    ]
  const wrong = bases.filter(({ base }) => !/\/v1\/?$/.test(base))
  if (wrong.length > 0)
    return [
      warning(
        `The api_base of ${wrong.map(({ name }) => name).join(', ')} in ${file} does not end in /v1.`,
        'LiteLLM appends /chat/completions to it: end it in /v1.',
      ),
    ]
  return [ok(`LiteLLM sends ${bases.map(({ name }) => name).join(', ')} to the gateway.`)]
}

/** Whether an address is that of a listener on this machine. */
function pointsAt(url: string, { host, port }: ListenAddress): boolean {
  if (!URL.canParse(url)) return false
  const { hostname, port: own, protocol } = new URL(url)
  const number = own === '' ? (protocol === 'https:' ? 443 : 80) : Number(own)
  const name = hostname.replace(/^\[|\]$/g, '')
  const isAny = host === '0.0.0.0' || host === '::'
  return number === port && (name === host || (isLoopbackHost(name) && (isAny || isLoopbackHost(host))))
}
