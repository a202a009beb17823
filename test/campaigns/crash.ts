/**
 * The crash campaign: `node test/campaigns/crash.ts --kills 1000 --seed 7 [--minutes 30] [--gateways 3] [--clients 9] [--json file] [--keep]`.
 * Ends with 0 when every invariant held. Everything is on loopback and in a directory of its own, which is removed unless `--keep`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runCampaign } from './crash/campaign.ts'
import { drawKills } from './crash/plan.ts'
import { Random } from './crash/random.ts'
import { composeReport, renderReport } from './crash/report.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '60' },
    gateways: { type: 'string', default: '3' },
    clients: { type: 'string', default: '9' },
    json: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})
const seed = Number(values.seed)
const directory = await mkdtemp(join(tmpdir(), 'tollway-crash-'))
const date = new Date().toISOString().slice(0, 10)
try {
  const result = await runCampaign({
    kills: drawKills(new Random(seed), Number(values.kills)),
    seed,
    directory,
    gateways: Number(values.gateways),
    clients: Number(values.clients),
    faults: true,
    deadline: Date.now() + Number(values.minutes) * 60_000,
    log: (line) => console.log(line),
  })
  const command = `node test/campaigns/crash.ts --kills ${values.kills} --seed ${seed}`
  const report = composeReport(result, { command, seed, date })
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
  console.log(renderReport(report))
  process.exitCode = report.violations.length === 0 ? 0 : 1
} finally {
  if (values.keep) console.log(`Everything is kept in ${directory}`)
  else await rm(directory, { recursive: true, force: true })
}
