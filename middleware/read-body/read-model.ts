/** The model that a body names. A body that two parsers could read differently is refused. */
import { isUtf8 } from 'node:buffer'
import { Busboy } from '@fastify/busboy'
import { TollwayError } from '../../src/core/errors.ts'
import { QUOTE } from '../../src/core/json/json-bytes.ts'
import { checkJsonObject } from '../../src/core/json/json-check.ts'
import { MAX_MEMBERS, scanTopLevel, type Member } from '../../src/core/json/json-scan.ts'

/** What routing needs to know about a body. */
export interface ModelChoice {
  /** `undefined` where the body has no such field: the default upstream may have a model of its own for it. */
  readonly model: string | undefined
  readonly stream: boolean
  /** Members of a JSON body, kept so that it need not be scanned again. */
  readonly members?: readonly Member[] | undefined
}

const MAX_MODEL_LENGTH = 256

const BOUNDS = { maxMembers: MAX_MEMBERS, maxDepth: 1000 }

/** Most parts of a form; the largest form of OpenAI's API has a few dozen. */
const MAX_PARTS = 1000

/** Whether a Content-Type is that of a form with files. */
export function isMultipart(type: string): boolean {
  return /^\s*multipart\/form-data\s*(?:;|$)/i.test(type)
}

/**
 * Reads `model` and `stream` of a JSON object. No other values are built, so a hostile body costs one pass over
 * its bytes.
 * @throws TollwayError `invalid_json`, `model_unreadable`
 */
export function readJsonModel(body: Uint8Array): ModelChoice {
  if (body.length === 0) throw invalidJson('it is empty')
  // Bytes that are not UTF-8 would be read differently by the next parser.
  if (!isUtf8(body)) throw invalidJson('it is not UTF-8')
  const verdict = checkJsonObject(body, BOUNDS)
  if (verdict !== 'object') throw invalidJson(WHY_NOT[verdict])
  const members = scanTopLevel(body)
  if (!members) throw invalidJson(WHY_NOT.not_json)
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const models = members.filter(({ key }) => isModel(key))
  // JSON.parse takes the last of two members with one name, other parsers the first, and Go's takes "Model" for
  // "model": the seller might run another model than the one that was checked.
  if (models.length > 1) throw unreadable(TWICE)
  const [named] = models
  const stream = members.findLast(({ key }) => key === 'stream')
  return {
    model:
      named && !isNull(text, named)
        ? checkModel(named.key === 'model' ? stringAt(text, named) : undefined)
        : undefined,
    stream: stream !== undefined && text.toString('latin1', stream.valueStart, stream.valueEnd) === 'true',
    members,
  }
}

const TWICE = 'names its model twice (field names that differ in upper and lower case only count as one)'

const WHY_NOT = {
  not_json: 'it cannot be parsed as a JSON object',
  too_many_members: `it has more than ${BOUNDS.maxMembers} fields. Send the fields of the API only`,
  too_deep: `its values are nested more than ${BOUNDS.maxDepth} deep. Send flatter ones`,
} as const

function isModel(name: string): boolean {
  return name.toLowerCase() === 'model'
}

/** SDKs send a field that was not given as null. */
function isNull(text: Buffer, { valueStart, valueEnd }: Member): boolean {
  return text.toString('latin1', valueStart, valueEnd) === 'null'
}

/** A value that is not a string is skipped: it could be the whole body. */
function stringAt(text: Buffer, { valueStart, valueEnd }: Member): unknown {
  if (text[valueStart] !== QUOTE) return undefined
  return JSON.parse(text.toString('utf8', valueStart, valueEnd)) as unknown
}

/**
 * Reads the `model` and `stream` fields of a multipart body that is already in memory; files are skipped.
 * @throws TollwayError `model_unreadable`
 */
export async function readMultipartModel(contentType: string, body: Buffer): Promise<ModelChoice> {
  const models: { readonly name: string; readonly value: unknown }[] = []
  let stream = false
  const fault = Promise.withResolvers<never>()
  const parser = createParser(contentType)
  // Keep both listeners: a truncated form makes the parser, each open file, or both emit an error, even after the
  // first error has been answered, and an unhandled error event ends the process.
  parser.on('error', fault.reject)
  parser.on('partsLimit', () => fault.reject(new Error(`the form has more than ${MAX_PARTS} parts`)))
  parser.on('field', (name: string | undefined, value, _nameCut, valueCut) => {
    if (name !== undefined && isModel(name)) models.push({ name, value: valueCut ? undefined : value })
    if (name === 'stream') stream = value === 'true'
  })
  parser.on('file', (name: string | undefined, file) => {
    file.on('error', fault.reject)
    if (name !== undefined && isModel(name)) models.push({ name, value: undefined })
    file.resume()
  })
  try {
    const finished = Promise.withResolvers<void>()
    parser.on('finish', () => finished.resolve())
    parser.end(body)
    await Promise.race([finished.promise, fault.promise])
  } catch (cause) {
    throw unreadable('is not well-formed multipart/form-data', cause)
  }
  if (models.length > 1) throw unreadable(TWICE)
  const [named] = models
  return { model: named && checkModel(named.name === 'model' ? named.value : undefined), stream }
}

function createParser(contentType: string): InstanceType<typeof Busboy> {
  try {
    return new Busboy({ headers: { 'content-type': contentType }, limits: { parts: MAX_PARTS } })
  } catch (cause) {
    throw unreadable('has no boundary in its Content-Type', cause)
  }
}

function checkModel(model: unknown): string {
  if (typeof model !== 'string' || model === '') throw unreadable('names no model in its field "model"')
  if (model.length > MAX_MODEL_LENGTH)
    throw unreadable(`has a model name over ${MAX_MODEL_LENGTH} characters`)
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(model)) throw unreadable('has control characters in its model name')
  return model
}

function invalidJson(why: string): TollwayError {
  return new TollwayError({
    code: 'invalid_json',
    message: `The request body is not read as a JSON object: ${why}.`,
  })
}

function unreadable(what: string, cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'model_unreadable',
    message: `The request body ${what}.`,
    advice: ['Name the model once, as a string in the field "model".'],
    param: 'model',
    cause,
  })
}
