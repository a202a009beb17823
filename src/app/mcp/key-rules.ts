/** What the key of a caller allows its agent, beside budgets: models and rates, as they hold at the gateway. */
import { scanTopLevel } from '../../core/json/json-scan.ts'
import { capture, fillStars, matchesPattern, parsePattern, starsOf } from '../../core/name-pattern.ts'
import type { CallerLimits } from '../../core/request/exchange.ts'
import type { Route } from '../../core/routing/route.ts'
import { isJson } from '../../core/stream/stream-json.ts'
import { usageIn } from '../../core/stream/usage.ts'
import type { CallerQuota } from '../../io/callers/caller-quota.ts'
import { AgentFailure } from './agent-failure.ts'
import type { AgentCall } from './agent-input.ts'
import type { AnswerContent } from './answer-content.ts'

/** The key that an agent called with. */
export interface AgentKey {
  /** The caller. */
  readonly id: string
  /** Names of models, or patterns with `*`. */
  readonly models: readonly string[]
  readonly limits: CallerLimits | undefined
  readonly quota: CallerQuota
  readonly routing: Routing
}

/** Which models the gateway sells, by which names. */
export interface Routing {
  readonly routes: readonly Route[]
  /** The name that each further name stands for. */
  readonly aliases: ReadonlyMap<string, string>
}

/**
 * Lets a call in under the limits of a key.
 * @returns what ends it; give it the answer, where there is one
 * @throws AgentFailure `model_not_allowed`
 * @throws TollwayError `rate_limit_exceeded`
 */
export async function admit(
  key: AgentKey | undefined,
  call: Pick<AgentCall, 'url' | 'body'>,
): Promise<(answer?: AnswerContent) => void> {
  if (!key) return () => undefined
  refuseModel(key, call)
  if (!key.limits) return () => undefined
  const place = await key.quota.enter(key.id, key.limits)
  return (answer) => {
    place.leave()
    place.count(answer ? tokensOf(answer) : 0)
  }
}

/**
 * A key with a list of models may buy those, at the sellers of their routes, and nothing else: any other address may serve any model.
 * @throws AgentFailure `model_not_allowed`
 */
function refuseModel(
  { models, routing: { routes, aliases } }: Pick<AgentKey, 'models' | 'routing'>,
  { url, body }: Pick<AgentCall, 'url' | 'body'>,
): void {
  if (models.includes('*')) return
  const model = modelIn(body)
  const own = model === undefined ? [] : routes.flatMap((route) => nameOf(route, model, url) ?? [])
  const further = [...aliases].filter(([, target]) => own.includes(target)).map(([alias]) => alias)
  if ([...own, ...further].some((name) => models.some((pattern) => matchesPattern(pattern, name)))) return
  throw new AgentFailure(
    'model_not_allowed',
    'The key of this agent is for certain models only, and this call is for none of them at the seller of its route; nothing was sent.',
    { models },
  )
}

/** What clients of the gateway would call this model of this seller; `undefined` where the route does not sell it. */
function nameOf(route: Route, model: string, { href }: URL): string | undefined {
  if (route.payer === undefined || !href.startsWith(`${route.apiBase}/`)) return undefined
  const name = parsePattern(route.modelName)
  const asked = parsePattern(route.model ?? route.modelName)
  const captured = capture(asked, model)
  if (captured === undefined || starsOf(asked) !== starsOf(name)) return undefined
  return fillStars(route.modelName, captured)
}

/** The model of a JSON body: of several members of that name none counts, as readers disagree about them. */
function modelIn(body: Buffer | undefined): string | undefined {
  const found = body && scanTopLevel(body)?.filter(({ key }) => key === 'model')
  const [member] = found?.length === 1 ? found : []
  const value: unknown =
    body && member && JSON.parse(body.toString('utf8', member.valueStart, member.valueEnd))
  return typeof value === 'string' ? value : undefined
}

function tokensOf(answer: AnswerContent): number {
  if (!('text' in answer)) return 0
  try {
    const json: unknown = JSON.parse(answer.text)
    const usage = isJson(json) ? usageIn(json) : undefined
    return usage ? usage.inputTokens + usage.outputTokens : 0
  } catch {
    return 0
  }
}
