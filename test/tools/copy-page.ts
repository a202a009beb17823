/** Part of `npm run build`: the files of the spend page that the compiler leaves alone, put beside the ones it wrote. */
import { copyFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const CLIENT = 'src/app/spend-page/client'

for (const name of readdirSync(join(ROOT, CLIENT))) {
  if (!name.endsWith('.ts')) copyFileSync(join(ROOT, CLIENT, name), join(ROOT, 'dist', CLIENT, name))
}
