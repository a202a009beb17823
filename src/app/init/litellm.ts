/** `tollway init litellm`: LiteLLM's entries for the paid models, as a file to include or merged into its config.yaml. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { isMap, isScalar, isSeq, parseDocument, stringify, type Document, type YAMLMap } from 'yaml'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import { backUp } from '../../io/files/back-up.ts'
import { replaceFile } from '../../io/files/replace-file.ts'
import { requiresCallerKey } from '../config/resolve/requires-caller-key.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** An entry of LiteLLM's `model_list`. */
export interface LitellmEntry {
  readonly model_name: string
  readonly litellm_params: Readonly<Record<string, string | number>>
}

/** Otherwise LiteLLM sends Anthropic messages to /responses, which few sellers support. */
const ANTHROPIC_SETTING = 'use_chat_completions_url_for_anthropic_messages'

/** Otherwise LiteLLM does not forward its clients' tags, sessions and request ids. */
const HEADERS_SETTING = ['model_group_settings', 'forward_client_headers_to_llm_api'] as const

/**
 * The entries of the paid models.
 * @param url root address of the gateway
 * @param keyVariable environment variable that LiteLLM reads the caller key from
 */
export function litellmEntries(
  config: Pick<ResolvedConfig, 'callers' | 'keys' | 'routes'>,
  url: string,
  keyVariable: string,
): LitellmEntry[] {
  const paid = config.routes.filter(({ payer }) => payer !== undefined).map(({ modelName }) => modelName)
  const apiKey = requiresCallerKey(config) ? `os.environ/${keyVariable}` : 'unused'
  return [...new Set(paid)].map((name) => ({
    model_name: name,
    // `openai/` means any OpenAI-compatible API to LiteLLM; only the rest is sent.
    litellm_params: { model: `openai/${name}`, api_base: `${url}/v1`, api_key: apiKey, max_retries: 0 },
  }))
}

/**
 * A file of its own for LiteLLM's `include`, which adds its list to the team's. Settings are not in it: an included
 * `litellm_settings` would take the place of the team's.
 */
export function litellmFragment(entries: readonly LitellmEntry[]): string {
  const names = entries.map(({ model_name: name }) => name)
  const settings = stringify({ litellm_settings: settingsOf(names) })
  return (
    comment(`The paid models of Tollway. Do not append this to LiteLLM's config.yaml: a second model_list would replace the first.
Save it beside that file as tollway-models.yaml, and add there:

include: [tollway-models.yaml]

${settings}
Or let Tollway merge it, comments kept: tollway init litellm --file config.yaml --write

${ATTRIBUTION}`) + stringify({ model_list: entries })
  )
}

/** How spend is told apart by team, as LiteLLM sends neither its teams nor its keys to a seller. */
const ATTRIBUTION = `Spend per team: LiteLLM books the cost of each answer to its own key and team. For budgets per team in Tollway, either
- give each team a caller in Tollway (callers, budgets with per: caller) and an entry here with that caller's api_key,
  under a model_name that only this team may use; or
- let clients send the header x-tollway-tags: team:<name> (tags.declared, budgets with per: tag), which the setting
  above passes on. Clients choose their tags themselves, so this splits costs among teams that trust each other.`

/** The result of {@link mergeLitellm}. */
export interface MergedLitellm {
  readonly text: string
  /** Names of the entries that were added. */
  readonly added: readonly string[]
  readonly changed: boolean
}

/**
 * Adds the entries and the settings they need to a LiteLLM file. Everything else stays: entries, comments, anchors.
 * @throws ConfigError for a file that is no YAML mapping, or has other entries under one of the names
 */
export function mergeLitellm(text: string, entries: readonly LitellmEntry[]): MergedLitellm {
  const document = parseDocument(text, { stringKeys: true })
  if (document.errors.length > 0) throw new ConfigError("LiteLLM's file is not valid YAML. Correct it first.")
  // A file that is empty or holds comments only.
  if (document.contents === null) return mergeLitellm(`${text.trimEnd()}\n{}\n`, entries)
  if (!isMap(document.contents)) throw new ConfigError("LiteLLM's file must hold keys and values at its top.")
  if (document.contents.items.length === 0) document.contents.flow = false
  const added = addEntries(document, entries)
  const set = addSettings(
    document,
    entries.map(({ model_name: name }) => name),
  )
  const changed = added.length > 0 || set
  return { text: changed ? document.toString({ lineWidth: 0 }) : text, added, changed }
}

/**
 * {@link mergeLitellm} for a file, after copying it to a backup next to it.
 * @returns the path of the backup, if there was a file and it changed
 */
export function writeLitellm(
  path: string,
  entries: readonly LitellmEntry[],
  clock: Clock,
): MergedLitellm & { readonly backup: string | undefined } {
  const file = resolve(path)
  const exists = existsSync(file)
  const merged = mergeLitellm(exists ? readFileSync(file, 'utf8') : '', entries)
  if (!merged.changed) return { ...merged, backup: undefined }
  const backup = exists ? backUp(file, clock) : undefined
  replaceFile(file, merged.text, exists ? statSync(file).mode & 0o777 : 0o600)
  return { ...merged, backup }
}

function addEntries(document: Document, entries: readonly LitellmEntry[]): string[] {
  const list = document.get('model_list', true)
  if (isEmpty(list)) {
    document.set('model_list', document.createNode(entries))
    return entries.map(({ model_name: name }) => name)
  }
  if (!isSeq(list)) throw new ConfigError("model_list in LiteLLM's file is not a list. Correct it first.")
  const written: unknown = list.toJS(document)
  const present: readonly unknown[] = Array.isArray(written) ? written : []
  const added: string[] = []
  for (const entry of entries) {
    const same = present.filter((other) => nameOf(other) === entry.model_name)
    if (same.some((other) => baseOf(other) !== entry.litellm_params['api_base'])) {
      throw new ConfigError(
        `model_list has an entry ${entry.model_name} for another address: LiteLLM would share its requests between both. Rename or remove that entry first.`,
      )
    }
    if (same.length > 0) continue
    list.add(document.createNode(entry))
    added.push(entry.model_name)
  }
  return added
}

/** @returns whether anything was set */
function addSettings(document: Document, names: readonly string[]): boolean {
  const wanted = settingsOf(names)
  const settings = document.get('litellm_settings', true)
  if (isEmpty(settings)) {
    document.set('litellm_settings', document.createNode(wanted))
    return true
  }
  if (!isMap(settings)) throw new ConfigError("litellm_settings in LiteLLM's file is not a mapping.")
  const setAnthropic = settings.get(ANTHROPIC_SETTING) === undefined
  if (setAnthropic) settings.set(ANTHROPIC_SETTING, true)
  return addNames(document, settings, names) || setAnthropic
}

function addNames(document: Document, settings: YAMLMap, names: readonly string[]): boolean {
  const list = settings.getIn(HEADERS_SETTING, true)
  if (isEmpty(list)) {
    settings.setIn(HEADERS_SETTING, document.createNode(names))
    return true
  }
  if (!isSeq(list)) throw new ConfigError(`litellm_settings.${HEADERS_SETTING.join('.')} is not a list.`)
  const written: unknown = list.toJS(document)
  const missing = names.filter((name) => !Array.isArray(written) || !written.includes(name))
  for (const name of missing) list.add(document.createNode(name))
  return missing.length > 0
}

function settingsOf(names: readonly string[]): object {
  return { [ANTHROPIC_SETTING]: true, [HEADERS_SETTING[0]]: { [HEADERS_SETTING[1]]: names } }
}

function isEmpty(node: unknown): boolean {
  return node === undefined || node === null || (isScalar(node) && node.value === null)
}

function nameOf(entry: unknown): unknown {
  return typeof entry === 'object' && entry !== null && 'model_name' in entry ? entry.model_name : undefined
}

function baseOf(entry: unknown): unknown {
  if (typeof entry !== 'object' || entry === null || !('litellm_params' in entry)) return undefined
  const params = entry.litellm_params
  return typeof params === 'object' && params !== null && 'api_base' in params ? params.api_base : undefined
}

function comment(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => (line === '' ? '#\n' : `# ${line}\n`))
    .join('')
}
