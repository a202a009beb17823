/** The model a body names. One reading only: a body that two parsers could read in two ways is refused. */
import { once } from 'node:events'
import { Busboy } from '@fastify/busboy'
import { TollwayError } from '../src/core/errors.ts'
import { scanTopLevel } from '../src/core/json-scan.ts'

/** What routing needs to know of a body. */
export interface ModelChoice {
  readonly model: string
  readonly stream: boolean
}

const MAX_MODEL_LENGTH = 256

/**
 * Reads `model` and `stream` of a JSON object.
 * @throws TollwayError `invalid_json`, `model_unreadable`
 */
export function readJsonModel(body: Uint8Array): ModelChoice {
  const json = parse(body)
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalidJson('it is not an object')
  }
  const members = scanTopLevel(body)
  if (!members) throw invalidJson('it is not an object')
  // JSON.parse takes the last of two members with one name, other parsers the first: the seller might run another model.
  if (members.filter(({ key }) => key === 'model').length > 1) throw unreadable('names its model twice')
  const fields = new Map<string, unknown>(Object.entries(json))
  return { model: checkModel(fields.get('model')), stream: fields.get('stream') === true }
}

function parse(body: Uint8Array): unknown {
  try {
    // `fatal`: bytes that are not UTF-8 would be read differently by the next parser.
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)) as unknown
  } catch {
    throw invalidJson(body.length === 0 ? 'it is empty' : 'it cannot be parsed as UTF-8 JSON')
  }
}

/**
 * Reads the `model` and `stream` fields of a multipart body that is already in memory; files are skipped.
 * @throws TollwayError `model_unreadable`
 */
export async function readMultipartModel(contentType: string, body: Buffer): Promise<ModelChoice> {
  const models: unknown[] = []
  let stream = false
  const parser = createParser(contentType)
  parser.on('field', (name, value, _nameCut, valueCut) => {
    if (name === 'model') models.push(valueCut ? undefined : value)
    if (name === 'stream') stream = value === 'true'
  })
  parser.on('file', (name, file) => {
    if (name === 'model') models.push(undefined)
    file.resume()
  })
  try {
    const finished = once(parser, 'finish')
    parser.end(body)
    await finished
  } catch (cause) {
    throw unreadable('is not well-formed multipart/form-data', cause)
  }
  if (models.length > 1) throw unreadable('names its model twice')
  return { model: checkModel(models[0]), stream }
}

function createParser(contentType: string): InstanceType<typeof Busboy> {
  try {
    return new Busboy({ headers: { 'content-type': contentType } })
  } catch (cause) {
    throw unreadable('has no boundary in its Content-Type', cause)
  }
}

function checkModel(model: unknown): string {
  if (typeof model !== 'string' || model === '') throw unreadable('names no model')
  if (model.length > MAX_MODEL_LENGTH)
    throw unreadable(`has a model name over ${MAX_MODEL_LENGTH} characters`)
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(model)) throw unreadable('has control characters in its model name')
  return model
}

function invalidJson(why: string): TollwayError {
  return new TollwayError({ code: 'invalid_json', message: `The request body is not a JSON object: ${why}.` })
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
