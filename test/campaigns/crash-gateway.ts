/**
 * A gateway that kills itself at a chosen step: `tollway serve` with wrapped parts. Arguments: configuration file, step, and at
 * which time the step is come to. Used by crash.ts.
 */
import { loadConfig } from '../../src/app/config/load.ts'
import { createGateway } from '../../src/app/gateway/gateway.ts'
import { serve } from '../../src/app/cli/commands/serve.ts'
import { processTerminal } from '../../src/app/cli/shared/terminal.ts'
import { direct } from '../../providers/direct/direct.ts'
import { Doom, doomed, doomedPayer } from './crash/doom.ts'
import { isStep } from './crash/steps.ts'

const [, , path = '', step = '', nth = '1'] = process.argv
if (!isStep(step)) throw new Error(`there is no step ${step}`)
const doom = new Doom(step, Number(nth))
const terminal = processTerminal()
const config = loadConfig(path, terminal.env)
const overrides = doomed(doom)
const wallet = config.payers.get('wallet')
if (wallet?.kind !== 'direct') throw new Error('the configuration has no direct payer named wallet')
const payer = doomedPayer(await direct({ key: wallet.key, networks: wallet.networks }), doom)
const payers = new Map([['wallet', payer]])
terminal.exit(await serve(config, (resolved) => createGateway(resolved, { ...overrides, payers }), terminal))
