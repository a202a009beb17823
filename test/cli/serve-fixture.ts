/** `serve` on the signals of a real process, with a gateway that does nothing. Argument: `prompt` or `hanging`. */
import { serve } from '../../src/app/cli/commands/serve.ts'
import { processTerminal } from '../../src/app/cli/shared/terminal.ts'
import { parseConfig } from '../../src/app/config/load.ts'

const terminal = processTerminal()
// What a listening server does: it keeps the process alive until it is closed.
const alive = setInterval(() => undefined, 60_000)

const code = await serve(
  parseConfig({}, {}),
  () =>
    Promise.resolve({
      listen: () => Promise.resolve({ url: 'http://127.0.0.1:1' }),
      close: async () => {
        terminal.stdout('closing\n')
        if (process.argv[2] === 'hanging') await new Promise(() => undefined)
        clearInterval(alive)
      },
    }),
  terminal,
)
terminal.exit(code)
