import type express from 'express'
import { ConfigError } from '../../core/errors.ts'

/**
 * Express is a peer, so that an app and its gateway never have two of it. Only the gateway needs it: the middlewares work
 * in any app.
 * @throws ConfigError when it is not installed
 */
export async function loadExpress(): Promise<typeof express> {
  try {
    return (await import('express')).default
  } catch (error) {
    if (!isMissing(error)) throw error
    throw new ConfigError(
      'Express, which the gateway needs, is not installed: run npm install express@5 (4.20 or newer works too) beside tollway, then start again.',
    )
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
}
