/**
 * Hostile paid answers x stock clients: `node test/campaigns/hostile-answers.ts [--answers 500] [--seed N]`. The OpenAI, AI,
 * LangChain and Anthropic SDKs, with their own retries, get damaged answers to paid requests; each is paid exactly once.
 * Loopback only; ends by itself, with exit code 1 when one was not.
 */
import { parseArgs } from 'node:util'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { runHostileAnswers, runLargeAnswers, type AnswerReport } from './hostile-answers/campaign.ts'

const { values } = parseArgs({
  options: {
    answers: { type: 'string', default: '500' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
process.stdout.write(`seed ${values.seed}\n`)
show('generated answers', await runHostileAnswers(Number(values.answers), Number(values.seed)))
show('answers of 9 MB that break off', await runLargeAnswers(9_000_000))

function show(what: string, { clients, notOnce }: AnswerReport): void {
  const rows = [...clients].map(([name, { asked, answered, attempts }]) =>
    [name, asked, answered, attempts].map(String),
  )
  process.stdout.write(`\n${what}\n${renderTable(['CLIENT', 'REQUESTS', 'ANSWERED', 'ATTEMPTS'], rows)}`)
  process.stdout.write(`not paid exactly once: ${notOnce.length}\n`)
  for (const request of notOnce) process.stdout.write(`  ${request}\n`)
  if (notOnce.length > 0) process.exitCode = 1
}
