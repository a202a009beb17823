/** Connections to an upstream that may answer before it has read the request, and close. */
import { Agent as HttpAgent, type AgentOptions } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Timers } from '../../src/core/timers.ts'

/** How long what the upstream said is read after it stopped reading. */
const READ_ON_MS = 1_000

type Callback = (error?: Error | null) => void

/**
 * An agent whose connections read on when they can no longer be written to: Node would drop them at once, with the
 * answer (such as 413) that is the reason.
 */
export function patientAgent(
  protocol: string,
  options: AgentOptions,
  timers: Timers,
): HttpAgent | HttpsAgent {
  const agent = protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options)
  const create = agent.createConnection.bind(agent)
  agent.createConnection = (to, callback) => {
    const socket = create(to, callback)
    if (socket) readOn(socket, timers)
    return socket
  }
  return agent
}

/* oxlint-disable no-underscore-dangle -- Node's names of what a stream writes with */
function readOn(socket: Duplex, timers: Timers): void {
  const write = socket._write.bind(socket)
  socket._write = (chunk, encoding, callback) => write(chunk, encoding, patient(socket, timers, callback))
  const writev = socket._writev?.bind(socket)
  if (writev) socket._writev = (chunks, callback) => writev(chunks, patient(socket, timers, callback))
}

/** Reports a failed write when the other side has said all it had to say. */
function patient(socket: Duplex, timers: Timers, callback: Callback): Callback {
  return (error) => {
    if (!error || socket.readableEnded || socket.destroyed) return callback(error)
    const cancel = timers.after(READ_ON_MS, report)
    function report(): void {
      cancel()
      for (const event of ['end', 'close']) socket.off(event, report)
      callback(error)
    }
    for (const event of ['end', 'close']) socket.on(event, report)
  }
}
