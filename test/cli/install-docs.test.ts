/** The lines of docs/install.md that need no installation are run as they stand. */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { blocksOf } from '../kit/markdown.ts'
import { MAIN } from '../kit/program.ts'
import { temporaryDirectory } from '../config/config-file.ts'

const exec = promisify(execFile)
const page = readFileSync(new URL('../../docs/install.md', import.meta.url), 'utf8')
const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')

function block(marker: string): string {
  const found = blocksOf(page).find((candidate) => candidate.marker === marker)
  if (!found) throw new Error(`docs/install.md has no block marked <!-- ${marker} -->`)
  return found.text
}

/** Runs lines in bash, with `tollway` on the PATH. */
async function bash(lines: string, directory: string): Promise<string> {
  writeFileSync(join(directory, 'tollway'), `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`, {
    mode: 0o755,
  })
  const env = { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}` }
  const { stdout } = await exec('bash', ['-eu', '-c', lines], { cwd: directory, env })
  return stdout
}

test('completions and the manual page come from the documented lines', async () => {
  const directory = temporaryDirectory()
  await bash(`${block('shell')}\ncomplete -p tollway > offered`, directory)
  expect(readFileSync(join(directory, 'offered'), 'utf8')).toContain('-F _tollway tollway')
  expect(readFileSync(join(directory, '_tollway'), 'utf8')).toMatch(/^#compdef tollway\n/)
  expect(readFileSync(join(directory, 'tollway.fish'), 'utf8')).toContain('complete -c tollway')
  expect(readFileSync(join(directory, 'tollway.1'), 'utf8')).toMatch(/^\.TH TOLLWAY 1 /)
})

test('the lines before and after an update work', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'tollway.yaml'), 'listen: 127.0.0.1:0\nstore: memory\n')
  const out = await bash(block('update'), directory)
  expect(out).toMatch(/^## \[/)
  expect(out).toContain('tollway.yaml is valid.')
})

test('the package names its manual page in the form that npm links: a list', () => {
  expect(JSON.parse(manifest)).toMatchObject({ man: ['./dist/tollway.1'] })
})

test('the tarball has the name that the page says', () => {
  const version = /"version": "([^"]+)"/.exec(manifest)?.[1] ?? ''
  for (const marker of ['tarball', 'npx']) expect(block(marker)).toContain(`./tollway-${version}.tgz`)
})
