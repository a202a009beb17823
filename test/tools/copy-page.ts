/** Part of `npm run build`: the files of the spend page that the compiler leaves alone, and its chart library, put beside the ones it wrote. */
import { copyFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const CLIENT = 'src/app/spend-page/client'

for (const name of readdirSync(join(ROOT, CLIENT))) {
  if (!name.endsWith('.ts')) copyFileSync(join(ROOT, CLIENT, name), join(ROOT, 'dist', CLIENT, name))
}

const CHART = { 'uPlot.iife.min.js': 'uplot.js', 'uPlot.min.css': 'uplot.css' }
for (const [name, ours] of Object.entries(CHART)) {
  copyFileSync(join(ROOT, 'node_modules/uplot/dist', name), join(ROOT, 'dist', CLIENT, ours))
}
copyFileSync(join(ROOT, 'node_modules/uplot/LICENSE'), join(ROOT, 'dist', CLIENT, 'uplot.LICENSE'))
