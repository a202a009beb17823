import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SandboxPackagesMissingError } from '../../src/app/sandbox/shared/missing-packages.ts'
import {
  installCommand,
  loadOptionalPackages,
  packagesFrom,
} from '../../src/app/sandbox/shared/optional-packages.ts'

describe('the optional parts of the sandbox', () => {
  it('load from a project’s own node_modules when Tollway lies elsewhere', async () => {
    const parts = await packagesFrom(process.cwd())
    expect(new parts.core.x402Facilitator().getSupported().kinds).toEqual([])
    expect(parts.express.ExpressAdapter).toBeTypeOf('function')
  })

  it('are looked for in the next place when the first has not got them', async () => {
    const emptyDir = mkdtempSync(join(tmpdir(), 'tollway-parts-'))
    try {
      const parts = await loadOptionalPackages([
        () => packagesFrom(emptyDir),
        () => packagesFrom(process.cwd()),
      ])
      expect(parts.server.x402ResourceServer).toBeTypeOf('function')
    } finally {
      rmSync(emptyDir, { recursive: true })
    }
  })

  it('are asked for with the install command when no place has them', async () => {
    const emptyDir = mkdtempSync(join(tmpdir(), 'tollway-parts-'))
    try {
      const loading = loadOptionalPackages([() => packagesFrom(emptyDir)])
      await expect(loading).rejects.toThrow(SandboxPackagesMissingError)
      await expect(loading).rejects.toThrow(installCommand())
    } finally {
      rmSync(emptyDir, { recursive: true })
    }
  })

  it('that are there and broken say so themselves', async () => {
    const broken = new SyntaxError('unexpected token')
    await expect(loadOptionalPackages([() => Promise.reject(broken)])).rejects.toBe(broken)
  })
})
