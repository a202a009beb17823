/** Reads a whole ledger for damage in a thread of its own, beside the requests. */
import { Worker } from 'node:worker_threads'
import { z } from 'zod'

/** A text and no file: a thread starts from it wherever this module was bundled to. */
const PROGRAM = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { DatabaseSync } = require('node:sqlite')
  try {
    const db = new DatabaseSync(workerData, { readOnly: true })
    const [row] = db.prepare('PRAGMA quick_check(1)').all()
    db.close()
    parentPort.postMessage({ found: String(Object.values(row)[0]) })
  } catch (error) {
    const isDamage = error.errcode === 11 || error.errcode === 26
    parentPort.postMessage(isDamage ? { found: String(error.message) } : { failed: String(error.message) })
  }`

const Answer = z.union([z.strictObject({ found: z.string() }), z.strictObject({ failed: z.string() })])

/** What a check came to. */
export type FileCheck = 'whole' | 'damaged' | 'not_checked'

/**
 * Starts to check the file.
 * @param done called once with the result; not after the check was stopped
 * @returns a function that stops it
 */
export function checkFile(path: string, done: (result: FileCheck) => void): () => void {
  const worker = new Worker(PROGRAM, {
    eval: true,
    workerData: path,
    name: 'tollway-ledger-check',
    execArgv: [],
  })
  worker.unref()
  let isOver = false
  const end = (result: FileCheck): void => {
    if (isOver) return
    isOver = true
    done(result)
  }
  worker.on('message', (message: unknown) => {
    const answer = Answer.parse(message)
    if ('failed' in answer) end('not_checked')
    else end(answer.found === 'ok' ? 'whole' : 'damaged')
  })
  worker.on('error', () => end('not_checked'))
  worker.on('exit', () => end('not_checked'))
  return () => {
    isOver = true
    void worker.terminate()
  }
}
