// Starts the gateway of a directory's tollway.yaml, and a program beside it; the gateway ends with the program.
import { spawn } from 'node:child_process'
import { createGateway, loadConfig } from 'tollway'

export async function runBeside(directory, command, args) {
  process.chdir(directory)
  const gateway = await createGateway(loadConfig('tollway.yaml'))
  const { url } = await gateway.listen()
  console.log(`Tollway is ready at ${url}`)
  const program = spawn(command, args, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => program.kill(signal))
  process.exitCode = await new Promise((resolve) => {
    program.once('error', ({ message }) => {
      console.error(`${command} could not be started: ${message}. Install it, or put it on your PATH.`)
      resolve(1)
    })
    program.once('exit', (code, signal) =>
      resolve(signal === null || signal === 'SIGINT' || signal === 'SIGTERM' ? (code ?? 0) : 1),
    )
  })
  await gateway.close()
}
