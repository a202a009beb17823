/** Writes `dashboards/` anew: `node src/app/dashboards/write.ts`. A test compares. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { dashboardFiles } from './files.ts'

const directory = join(import.meta.dirname, '../../../dashboards')

for (const [name, text] of dashboardFiles()) {
  const path = join(directory, name)
  const before = await readFile(path, 'utf8').catch(() => '')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  process.stdout.write(`dashboards/${name}: ${before === text ? 'unchanged' : 'written'}\n`)
}
